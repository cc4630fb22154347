"""Writes log lines from a thread: neither a stalled pipe nor a full disk may touch a turn."""

import os
import threading
from collections import deque
from types import TracebackType
from typing import Protocol, Self, TextIO

_PARTING_S = 1.0
_GATHER_S = 0.05
"""How long lines may wait for company: waking a thread for each would cost the event loop."""


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes, /) -> int:
        """Take some of it; returns how much. Raises `OSError` or `ValueError` if none."""


class _File:
    """A file or pipe, written without Python's buffers: these lose what a full disk refuses."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, data: bytes) -> int:
        return os.write(self._descriptor, data)


class _Text:
    """A text stream that is no file."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        self._stream.write(data.decode())
        self._stream.flush()
        return len(data)


def sink_of(stream: TextIO) -> Sink:
    """The sink that a text stream stands for."""
    try:
        return _File(stream.fileno())
    except OSError:  # io.UnsupportedOperation
        return _Text(stream)


class LogWriter:
    """A stand-in for a text stream that never blocks and never raises.

    Lines wait for the thread, up to `capacity` characters of them; what is more is dropped, and
    the next line that is taken says how many were. What the sink refuses is tried again
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
            rest = lines.encode()
            while rest := self._refused(rest):
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

    def _refused(self, data: bytes) -> bytes:
        """Write it; returns what the sink does not take now."""
        try:
            while data:
                data = data[self._sink.write(data) :]
        except (OSError, ValueError):
            pass
        return data

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
