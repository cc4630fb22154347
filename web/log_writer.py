"""Writes log lines from a thread: neither a stalled pipe nor a full disk may touch a turn."""

import queue
import threading
from types import TracebackType
from typing import Protocol, Self

_STALLED_S = 1.0


class Sink(Protocol):
    """A text stream, as far as it is needed."""

    def write(self, text: str, /) -> object:
        """Take text."""

    def flush(self) -> object:
        """Pass it on."""


class LogWriter:
    """A stand-in for a text stream that never blocks and never raises.

    `capacity` lines wait for the thread; beyond that lines are dropped, and the next line that
    gets through says how many. Leaving the context waits for what is queued, a second at most.
    """

    def __init__(self, sink: Sink, capacity: int = 10_000) -> None:
        self._sink = sink
        self._lines: queue.Queue[str | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self.dropped = 0
        """Lines lost and not yet reported."""

    def write(self, text: str) -> None:
        """Queue a line."""
        try:
            self._lines.put_nowait(text)
        except queue.Full:
            self.dropped += 1

    def flush(self) -> None:
        """Nothing: the thread flushes after each line."""

    def _run(self) -> None:
        while (line := self._lines.get()) is not None:
            dropped, self.dropped = self.dropped, 0
            notice = f"{dropped} log lines were dropped\n" if dropped else ""
            try:
                self._sink.write(notice + line)
                self._sink.flush()
            except (OSError, ValueError):
                self.dropped += dropped + 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._lines.put(None, timeout=_STALLED_S)
        except queue.Full:
            return
        self._thread.join(_STALLED_S)
