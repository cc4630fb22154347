"""Rough token estimate for a text of an unknown model.

Recovery and embeddings use these constants; answers use `actors.estimating`. A token is about four
characters of alphabetic text and about 0.7 of a character in CJK scripts (public tokenizer
figures).
"""

import re

CHARS_PER_TOKEN = 4.0
TOKENS_PER_CJK_CHAR = 1.4
SAMPLE = 16_384
"""Characters examined; longer texts are extrapolated, since a full scan blocks the event loop."""

_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]")


def estimate_tokens(text: str) -> int:
    """Return the estimated number of tokens in `text`; 0 only for an empty text."""
    if not text:
        return 0
    sample = text[:SAMPLE]
    wide = 0 if sample.isascii() else len(_CJK.findall(sample))
    tokens = (len(sample) - wide) / CHARS_PER_TOKEN + wide * TOKENS_PER_CJK_CHAR
    return max(1, round(tokens * len(text) / len(sample)))
