"""Configures logging: structlog to standard error, as text on a terminal and JSON anywhere else.

Log records of libraries are formatted the same way. A turn's lines have its id because
`structlog.contextvars` are merged into each line: bind `turn` once, and all tasks started from
there inherit it. Tracebacks never show local variables, because these hold prompts and answers.
Control characters are escaped, because clients choose paths and model names.
"""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import msgspec
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from web.observability.log_writer import LogWriter, sink_of

_NOISY = ("httpx", "httpcore", "alembic", "h2", "hpack")
"""Libraries that log each request or each start at `info`; limited to warnings."""

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0, DEL, C1, separators of lines and paragraphs, control of text direction, lone surrogates."""


@contextmanager
def logging_to(stream: TextIO, level: str = "info", *, cached: bool = False) -> Iterator[None]:
    """Send all logs of `level` and above to `stream` while the context lasts.

    `cached` freezes each logger at its first use, which makes calls below the level nearly free.
    Such loggers cannot be reconfigured, so use it only in a process that serves once.
    """
    number = logging.getLevelNamesMapping()[level.upper()]
    renderer = _readable(stream) if stream.isatty() else _json()
    root = logging.getLogger()
    before = (root.handlers[:], root.level)
    with LogWriter(sink_of(stream)) as writer:
        structlog.configure(
            processors=[*_shared(), *renderer],
            wrapper_class=structlog.make_filtering_bound_logger(number),
            logger_factory=structlog.WriteLoggerFactory(file=writer),  # type: ignore[arg-type]  # only write and flush are used
            cache_logger_on_first_use=cached,
        )
        root.handlers[:], root.level = [_for_libraries(writer, renderer)], number
        for name in _NOISY:
            logging.getLogger(name).setLevel(max(number, logging.WARNING))
        try:
            yield
        finally:
            root.handlers[:], root.level = before
            structlog.reset_defaults()


def turn_log_binder() -> Callable[[str], object]:
    """Return a callback for `Registry.start` that binds turn and request id to log lines."""
    bound = structlog.contextvars.get_contextvars()
    return lambda turn_id: structlog.contextvars.bind_contextvars(turn=turn_id, **bound)


def _shared() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _without_controls,
    ]


def _without_controls(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters, which could forge lines or send commands to a terminal.

    They are escaped in JSON too, because tools such as `jq -r` print the decoded text.
    """
    traceback: str | None = event.pop("exception", None)
    for name, value in event.items():
        event[name] = _escaped(value)
    if traceback is not None:
        event["exception"] = "\n".join(map(_text, traceback.split("\n")))
    return event


def _escaped(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return {_escaped(key): _escaped(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(inner) for inner in value]
    return value


def _text(text: str) -> str:
    return text if text.isprintable() else _CONTROLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()


def _readable(stream: TextIO) -> list[Processor]:
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=True, exception_formatter=plain)]


def _json() -> list[Processor]:
    return [_as_json]


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
