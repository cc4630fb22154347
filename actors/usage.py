"""What a turn is charged where no provider says: an estimate that says that it is one.

Constants, until the estimator learns from finished turns: a token is about four characters of
text in an alphabet and about 0.7 of a character in CJK scripts, from public tokenizer figures.
"""

import re

from actors.providers.base import JSON, ModelCall

CHARS_PER_TOKEN = 4.0
TOKENS_PER_CJK_CHAR = 1.4
TOKENS_PER_MESSAGE = 4
"""What chat templates wrap each message in."""

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


def estimate_input(call: ModelCall) -> int:
    """About how many tokens the messages are; images and files are not counted."""
    return sum(TOKENS_PER_MESSAGE + _content_tokens(m.get("content")) for m in call.messages)


def _content_tokens(content: JSON) -> int:
    if isinstance(content, str):
        return estimate_tokens(content)
    if isinstance(content, list):
        return sum(_content_tokens(part) for part in content)
    if isinstance(content, dict):
        return _content_tokens(content.get("text"))
    return 0


class Constants:
    """Estimates by the constants alone (`actors.ledger.Estimates`); it learns nothing."""

    def estimate(self, model: str, text: str, deltas: int) -> int:
        """See `estimate_tokens`."""
        return estimate_tokens(text)

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """See `estimate_input`."""
        return estimate_input(call)

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """Nothing."""
