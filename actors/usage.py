"""About how many tokens a text is, where nothing is known of the model that it belongs to.

Constants, for recovery and for embeddings; answers have `actors.estimating`. A token is about four
characters of text in an alphabet and about 0.7 of a character in CJK scripts, from public
tokenizer figures.
"""

import re

CHARS_PER_TOKEN = 4.0
TOKENS_PER_CJK_CHAR = 1.4
SAMPLE = 16_384
"""Characters that are looked at; a longer text counts in proportion, since it blocks everyone."""

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def estimate_tokens(text: str) -> int:
    """About how many tokens `text` is; 0 only where it is empty."""
    if not text:
        return 0
    sample = text[:SAMPLE]
    wide = 0 if sample.isascii() else len(_CJK.findall(sample))
    tokens = (len(sample) - wide) / CHARS_PER_TOKEN + wide * TOKENS_PER_CJK_CHAR
    return max(1, round(tokens * len(text) / len(sample)))
