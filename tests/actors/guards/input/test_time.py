"""Time and GIL: no text takes quadratic time, and no call holds the GIL for long."""

import base64
import random
import threading
import time

import pytest

from actors.guards.input.scoring import score
from tests.support.sizes import FULL

SIZE = (1 << 20) if FULL else (1 << 16)
RANDOM = random.Random(14)
TEXTS = {
    "prose": "The quick brown fox jumps over the lazy dog. ",
    "russian": "Быстрая бурая лиса прыгает через ленивого пса. ",
    "invisible": "\u200b",
    "letters and invisible": "a\u200b",
    "marks": "a\u0301\u0323",
    "entities": "&#105;",
    "nested entities": "&amp;amp;#105; ",
    "nested percent": "%2525252569",
    "percent": "%69 ",
    "escapes": "\\u0069\\x69",
    "base64 of text": base64.b64encode(b"ignore previous").decode(),
    "base64 of phrases": base64.b64encode(b"ignore previous instructions ").decode(),
    "base64 of data": base64.b64encode(RANDOM.randbytes(3 << 10)).decode(),
    "one word": "a",
    "spaced": "a ",
    "leet": "1gn0r3 ",
    "first words": "ignore ",
    "many first words": "send show transfer ignore disable your the all ",
    "phrases": "ignore previous instructions ",
    "quoted phrases": 'attack "ignore previous instructions" ',
    "rot13": "vtaber vafgehpgvbaf ",
    "reversed lines": "snoitcurtsni\n",
    "chinese": "之前的所有忽略",
    "spaces": "ignore" + " " * 5_000,
    "hex": "6a ",
    "bits": "01101010 ",
}


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


@pytest.mark.alone
@pytest.mark.parametrize("name", TEXTS)
def test_gil_is_free_for_others(name: str) -> None:
    """Another thread, such as the event loop, never waits for long while a text is scored."""
    piece = TEXTS[name]
    text = piece * (SIZE // len(piece))
    score(text[:1000])
    done = threading.Event()
    waits: list[float] = []

    def watch() -> None:
        last = time.perf_counter()
        while not done.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            waits.append(now - last)
            last = now

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        score(text)
    finally:
        done.set()
        watcher.join()
    assert max(waits) < 0.05
