"""Writes log lines from a thread: neither a stalled pipe nor a full disk may touch a turn."""

import threading
from collections import deque
from types import TracebackType
from typing import Protocol, Self

_PARTING_S = 1.0
_GATHER_S = 0.05
"""How long lines may wait for company: waking a thread for each would cost the event loop."""


class Sink(Protocol):
    """A text stream, as far as it is needed."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Pass it on."""


class LogWriter:
    """A stand-in for a text stream that never blocks and never raises.

    Lines wait for the thread, up to `capacity` characters of them; what is more is dropped, and
    the next line that is taken says how many were. A line that the sink refuses is tried again
    every `retry_s`, because a full disk may have space again and the line may be a turn's only
    record. Leaving the context gives what is waiting one more second.
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
        """Nothing: the thread flushes what it has gathered."""

    def _run(self) -> None:
        while lines := self._next():
            while not self._written(lines):
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

    def _written(self, lines: str) -> bool:
        try:
            self._sink.write(lines)
            self._sink.flush()
        except (OSError, ValueError):
            return False
        return True

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._closing = True
            self._closed.set()
            self._changed.notify()
        self._thread.join(_PARTING_S)
