"""Writes log lines from a thread, so that a stalled pipe or a full disk cannot delay a turn."""

import os
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Self, TextIO

_CLOSE_S = 1.0
"""Seconds that closing waits for the remaining lines."""
_GATHER_S = 0.05
"""Seconds for which lines are collected: waking the thread for each would cost the event loop."""


Sink = Callable[[bytes], int]
"""Writes some of the data and returns how much. Raises `OSError` or `ValueError` if none."""


def sink_of(stream: TextIO) -> Sink:
    """Return a sink that writes to the file of `stream`, or else to the stream itself.

    Files are written unbuffered: Python's buffers lose data that a full disk refuses.
    """
    try:
        return partial(os.write, stream.fileno())
    except OSError:  # io.UnsupportedOperation
        return partial(_write_text, stream)


def _write_text(stream: TextIO, data: bytes) -> int:
    stream.write(data.decode())
    stream.flush()
    return len(data)


class LogWriter:
    """A write-only text stream that never blocks and never raises.

    Lines wait for the thread, up to `capacity` characters. Further lines are dropped, and the
    next accepted line is preceded by their number. If the sink refuses data, it is retried every
    `retry_s` seconds, because a full disk may get space again and the line may be a turn's only
    record. Leaving the context waits up to a second for the remaining lines.
    """

    def __init__(self, sink: Sink, capacity: int = 64 * 1024 * 1024, retry_s: float = 1.0) -> None:
        self._sink = sink
        self._capacity = capacity
        self._retry_s = retry_s
        self._lines: deque[str] = deque()
        self._held = 0
        self._dropped = 0
        self._changed = threading.Condition()
        self._closing = False
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)

    def write(self, text: str) -> None:
        """Queue a line."""
        with self._changed:
            if self._held + len(text) > self._capacity:
                self._dropped += 1
                return
            if self._dropped:
                text = f"{self._dropped} log lines were dropped\n{text}"
                self._dropped = 0
            self._lines.append(text)
            self._held += len(text)
            self._changed.notify()

    def flush(self) -> None:
        """Do nothing: the thread writes without buffering."""

    def _run(self) -> None:
        while lines := self._next():
            rest = lines.encode()
            while rest := self._write_to_sink(rest):
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, self._retry_s):
                        return
            with self._changed:
                self._held -= len(lines)

    def _next(self) -> str:
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._closing)
        self._closed.wait(_GATHER_S)
        with self._changed:
            lines = "".join(self._lines)
            self._lines.clear()
            return lines

    def _write_to_sink(self, data: bytes) -> bytes:
        """Write the data and return the rest that the sink refuses now."""
        try:
            while data:
                data = data[self._sink(data) :]
        except (OSError, ValueError):
            pass
        return data

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._closed.set()
            self._changed.notify()
        self._thread.join(_CLOSE_S)
