"""Protocol: tool calls and marks of chat templates that a model wrote as text. Pure.

Code in ticks is left alone, and so is what directly follows a quotation mark. The result depends on
nothing in front of a text but one character, so text can be cut between its parts.
"""

import re
from collections.abc import Collection, Iterator

from msgspec import Struct

LONGEST = 8192
"""Characters of a tool call; those behind it are ordinary text."""
_LONGEST_FENCE = 2000
"""Characters of a code block that is left alone; it is held until it ends."""
_LONGEST_CODE = 200
_LONGEST_STRIKE = 300
_LONGEST_BRACKETS = 64
"""Brackets in a row that are not cut."""
_LONGEST_HEAD = 200
"""Characters of the beginning of a tool call in JSON that tell it from other objects."""

_FIRST = re.compile(r"`{1,16}|<|\[|^\{", re.MULTILINE)
_QUOTES = "\"'\u2018\u201c\u201e\u00ab"
_BAR = r"[|\uff5c]"
_TAGS = "tool_calls?|function_calls?|tool_use|tool_response|tool_result|invoke"
_ROLES = "system|user|assistant|model|tool|ipython|developer"
_STARTS = rf"<{_BAR}(?:im_start|start_header_id){_BAR}>|<start_of_turn>"
_MARK = re.compile(
    rf"(?:{_STARTS})(?:{_ROLES})?(?:<\|end_header_id\|>)?|<end_of_turn>"
    rf"|<{_BAR}[\w\u2581./-]{{1,60}}{_BAR}>|<s> ?\[INST\]|<</?SYS>>|</s>(?=[\n<\[]|\Z)"
    rf"|</(?:{_TAGS})>|\[/?(?:INST|TOOL_CALLS|AVAILABLE_TOOLS|TOOL_RESULTS|SYSTEM_PROMPT)\]"
)
_START = re.compile(_STARTS)
_MAY_BE_ROLE = re.compile(r"[a-z]{0,10}(?:<\|?[a-z_]{0,13}\|?)?\Z")
_BLOCK = re.compile(
    rf"<(?P<tag>{_TAGS})\b[^<>\n]{{0,100}}>(?=\s{{0,8}}[{{\[<])"
    r"|<(?P<function>function)=[\w.:-]{1,64}>(?=\s{0,8}[{<])"
    rf"|<{_BAR}(?P<section>tool[_\u2581]calls?(?:_section)?[_\u2581])begin{_BAR}>"
    r"|(?P<line><\|python_tag\|>|\[TOOL_CALLS\])"
)
_MAY_BE_MARK = re.compile(
    rf"<(?:{_BAR}[\w\u2581./-]{{0,60}}{_BAR}?|[/<]{{0,2}}[A-Za-z_]{{0,20}}|</?SYS>|/s>"
    rf"|(?:{_TAGS})[^<>\n]{{0,100}}(?:>\s{{0,8}})?|function=[\w.:-]{{0,64}}(?:>\s{{0,8}})?"
    r"|s> ?\[?I?N?S?T?)\Z|\[/?[A-Z_]{0,20}\Z"
)
_CALL = re.compile(
    r"\[?\s*\{\s*(?:"
    r'"(?:name|function|action|tool|tool_name)"\s*:\s*"(?P<name>[\w.:/-]{1,64})"\s*,\s*'
    r'"(?:arguments|args|tool_input|action_input|(?P<weak>parameters|input))"\s*:\s*[{"]'
    r'|"(?:tool_calls|function_call)"\s*:\s*[\[{]'
    r'|(?:"id"\s*:\s*"[\w-]{1,64}"\s*,\s*)?"type"\s*:\s*"function"\s*,\s*"(?:function|name)"\s*:)'
)
_MAY_BE_CALL = re.compile(
    r'\[?\s*(?:\{\s*(?:"(?:[a-z_]{0,13}|(?:name|function|action|tool|tool_name|tool_calls|id|type'
    r'|function_call)"[^{}\[\]]*))?)?\Z'
)
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}"]', re.DOTALL)


class Part(Struct, frozen=True):
    """A part of a text that is looked at as a whole."""

    begin: int
    end: int
    is_protocol: bool = False
    is_open: bool = False
    """True if more text can change it."""
    is_doubtful: bool = False
    """True if it is ordinary text unless more text follows that completes it."""


def parts(text: str, tools: Collection[str] = (), *, is_whole: bool = True) -> list[Part]:
    """Return the parts of a text that are not ordinary. `tools` are those that the model has.

    Those of a text that is not whole include what may become a part.
    """
    found: list[Part] = []
    at = 0
    while first := _FIRST.search(text, at):
        at = first.end()
        for part in _possible(text, first, found[-1].end if found else 0, tools):
            if not (part.is_doubtful and is_whole):
                found.append(part)
                at = part.end
                break
    return found


def _possible(text: str, first: re.Match[str], at: int, tools: Collection[str]) -> Iterator[Part]:
    """Yield the parts that may begin with a sign, the best one first."""
    begin, sign = first.start(), first[0]
    if sign[0] == "`":
        yield from _code(text, begin, sign)
    elif sign != "{" and begin > at and text[begin - 1] in _QUOTES:
        yield from _quoted(text, begin)
    else:
        if sign != "{":
            yield from _marked(text, begin)
        if sign != "<" and _begins_line(text, begin):
            yield from _call(text, begin, tools)


def settled(text: str) -> int:
    """Return how much of a text later text does not change the parts of."""
    found = parts(text, is_whole=False) if _FIRST.search(text) else []
    last = max(len(text) - 1, 0)
    cut = next((part.begin for part in found if part.is_open), last)
    # A piece begins with a bracket only if its line does, and never behind a quotation mark.
    least = cut - _LONGEST_BRACKETS
    while cut > max(least, 0) and text[cut] in "[{" and not _begins_line(text, cut):
        cut -= 1
    for part in reversed(found):
        if part.end <= cut:
            break
        cut = min(cut, part.begin)
    return cut


def _doubtful(text: str, begin: int) -> Part:
    return Part(begin, len(text), is_open=True, is_doubtful=True)


def _begins_line(text: str, begin: int) -> bool:
    return begin == 0 or text[begin - 1] == "\n"


def _marked(text: str, begin: int) -> Iterator[Part]:
    if block := _BLOCK.match(text, begin):
        yield _block(text, block)
    elif mark := _MARK.match(text, begin):
        yield _mark(text, mark)
    elif text.startswith("</s>", begin):  # with the character that tells it from a mark
        yield Part(begin, begin + 5)
    elif text.startswith("<s>", begin):
        yield from _struck(text, begin)
    elif _MAY_BE_MARK.match(text, begin):
        yield _doubtful(text, begin)


def _quoted(text: str, begin: int) -> Iterator[Part]:
    """Yield a mark with the quotation mark in front of it."""
    if mark := _BLOCK.match(text, begin) or _MARK.match(text, begin):
        yield Part(begin - 1, mark.end(), is_open=_mark(text, mark).is_open)
    elif _MAY_BE_MARK.match(text, begin):
        yield _doubtful(text, begin - 1)


def _code(text: str, begin: int, ticks: str) -> Iterator[Part]:
    """Yield a code block or a piece of inline code."""
    is_fence = len(ticks) > 2
    limit = begin + (_LONGEST_FENCE if is_fence else _LONGEST_CODE)
    closing = re.compile(rf"{ticks}`*" if is_fence else rf"(?<!`){ticks}(?!`)|\n\s*\n")
    end = closing.search(text, begin + len(ticks), limit)
    if end is not None:
        if end[0][0] == "`":
            yield Part(begin, end.end(), is_open=end.end() == len(text))
    elif len(text) <= limit:
        is_open = Part(begin, len(text), is_open=True)
        yield is_open if is_fence else _doubtful(text, begin)
    elif is_fence:
        yield Part(begin, limit)


def _block(text: str, opening: re.Match[str]) -> Part:
    """Return a tool call between tags, or to the end of its line."""
    kind = opening.lastgroup or "line"
    name = re.escape(opening[kind])
    closing = {"line": "\n", "section": rf"<{_BAR}{name}end{_BAR}>"}.get(kind, f"</{name}>")
    limit = opening.start() + LONGEST
    end = re.compile(closing).search(text, opening.end(), limit)
    if end is not None:
        return Part(opening.start(), end.start() if kind == "line" else end.end(), True)
    stop = min(limit, len(text))
    # Some models leave the closing tag out.
    content = None if kind == "line" else _end_of_json(text, opening.end(), limit)
    return Part(opening.start(), content or stop, True, is_open=len(text) <= limit)


def _mark(text: str, mark: re.Match[str]) -> Part:
    start = _START.match(text, mark.start())
    may_be_longer = mark.end() == len(text) or (
        start is not None and _MAY_BE_ROLE.match(text, start.end()) is not None
    )
    return Part(mark.start(), mark.end(), True, may_be_longer)


def _struck(text: str, begin: int) -> Iterator[Part]:
    """Yield text that HTML strikes through, which `</s>` ends like an answer."""
    limit = begin + _LONGEST_STRIKE
    end = re.compile(r"</s>|\n").search(text, begin, limit)
    if end is None and len(text) <= limit:
        yield _doubtful(text, begin)
    elif end is not None and end[0] == "</s>":
        yield Part(begin, end.end())


def _call(text: str, begin: int, tools: Collection[str]) -> Iterator[Part]:
    """Yield a tool call in JSON, or an object that has the form of one."""
    head = _CALL.match(text, begin, begin + _LONGEST_HEAD)
    limit = begin + LONGEST
    if head is not None:
        is_call = head["weak"] is None or head["name"] in tools
        end = _end_of_json(text, begin, limit)
        is_open = end is None and len(text) <= limit
        yield Part(begin, end or min(limit, len(text)), is_call, is_open)
    elif len(text) <= begin + _LONGEST_HEAD and _MAY_BE_CALL.match(text, begin):
        yield _doubtful(text, begin)


def _end_of_json(text: str, begin: int, limit: int) -> int | None:
    """Return the end of the array or object that is next in a text, or None if it is not whole."""
    depth = 0
    for found in _STRING_OR_BRACKET.finditer(text, begin, limit):
        if found[0] == '"':
            return None
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(found[0], 0)
        if depth == 0:
            return found.end()
    return None
