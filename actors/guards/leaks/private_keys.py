"""Private keys: blocks of text between `BEGIN … PRIVATE KEY` and `END`. Pure.

Also those of PGP and SSH, those within strings of code and JSON, with quotes and escaped line ends,
and those that break off: then the lines that look like Base64 are the block.
"""

from actors.guards import patterns

_BEGIN = r"-----BEGIN[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
_GAP = r"[\s\"',>|\\]"
_DIGIT = "[A-Za-z0-9+/=]"  # escaped line ends leave an `n` before a line
_HEADER = r"[A-Z][A-Za-z-]{2,30}: [^\n\\]{0,200}[\s\\nr\"',]+"
_HEAD = rf"{_BEGIN}{_GAP}*(?:{_HEADER})*"
_LINES = rf"{_DIGIT}{{20,}}(?:{_GAP}+{_DIGIT}{{20,}})*"
_END = (
    rf"{_GAP}*{_DIGIT}{{0,90}}{_GAP}*(?:{_DIGIT}{{5,9}}{_GAP}+)?-----END[A-Z0-9 ]{{0,40}}(?:-----)?"
)
BLOCK = patterns.compile(rf"{_HEAD}{_LINES}(?:{_END})?")
_OPEN = patterns.compile(
    r"^(?:-----BEGIN[A-Z0-9 ]{0,60}-{0,4}"
    rf"|{_HEAD}(?:[A-Z][A-Za-z-]{{0,30}}:?(?: [^\n\\]{{0,200}})?)?"
    rf"|{_HEAD}(?:{_DIGIT}{{20,}}{_GAP}+)*(?:{_DIGIT}*{_GAP}*){{1,2}}"
    r"(?:-{1,5}|-----E[A-Z0-9 ]{0,50}-{0,4})?)$"
)
"""Beginning of a block that more text may continue."""


def last_block(text: str) -> tuple[int, int] | None:
    """Return the last block, or what may become one; its end is then behind the text."""
    begin = text.rfind("-----BEGIN")
    if begin < 0:
        return None
    rest = text[begin:]
    if _OPEN.search(rest) is not None:
        return begin, len(text) + 1
    found = BLOCK.search(rest)
    return None if found is None else (begin, begin + found[1])
