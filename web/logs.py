"""Logs: structlog to standard error, readable on a terminal and JSON anywhere else.

The libraries' own loggers come out the same way. Lines of a turn carry its id because
`structlog.contextvars` are merged: bind `turn` once, and the tasks started there inherit it.
Tracebacks never show local variables, which hold prompts and answers.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from web.log_writer import LogWriter, sink_of

_TALKATIVE = ("httpx", "httpcore", "alembic", "h2", "hpack")
"""Libraries whose `info` is a line per request or per start."""


@contextmanager
def logging_to(stream: TextIO, level: str = "info", *, cached: bool = False) -> Iterator[None]:
    """Send all logs of this level and above to `stream` for as long as the context lasts.

    `cached` fixes each logger at its first use, which makes a call below the level all but free;
    such loggers cannot be pointed elsewhere afterwards, so it is for a process that serves once.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = _readable(stream) if stream.isatty() else _json()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with LogWriter(sink_of(stream)) as writer:
        structlog.configure(
            processors=[*_shared(), *renderer],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            logger_factory=structlog.WriteLoggerFactory(file=writer),  # type: ignore[arg-type]  # it has all that is used
            cache_logger_on_first_use=cached,
        )
        root.handlers[:], root.level = [_for_libraries(writer, renderer)], number
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(max(number, logging.WARNING))
        try:
            yield
        finally:
            root.handlers[:], root.level = before
            structlog.reset_defaults()


def marking_logs() -> Callable[[str], object]:
    """For `Registry.start`: has the lines of a turn carry its id, and that of this request."""
    bound = structlog.contextvars.get_contextvars()
    return lambda turn_id: structlog.contextvars.bind_contextvars(turn=turn_id, **bound)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _readable(stream: TextIO) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=plain)]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, _as_json]


def _as_json(logger: WrappedLogger, method: str, event: EventDict) -> str:
    return msgspec.json.encode(event, enc_hook=repr).decode()


def _for_libraries(writer: LogWriter, renderer: list[Processor]) -> logging.Handler:
    handler = logging.StreamHandler(writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    return handler
