"""No text takes quadratic time; see also tests/live/guards/test_event_loop.py."""

import time

import pytest

from actors.guards.input.scoring import score
from tests.support.long_texts import SIZE, TEXTS


def seconds(text: str) -> float:
    started = time.thread_time()
    score(text)
    return time.thread_time() - started


@pytest.mark.parametrize("name", TEXTS)
def test_time_is_linear(name: str) -> None:
    piece = TEXTS[name]
    text = piece * (SIZE // len(piece))
    score(text[:1000])  # compiles the patterns
    # The best of several: others run at the same time. Quadratic time would give 8 times as much.
    half = min(seconds(text[: len(text) // 4]) for _ in range(3))
    whole = min(seconds(text) for _ in range(2))
    assert whole < 12 * half + 0.05
    assert whole < 12 * len(text) / (1 << 20), "more than 12 s per MiB"
