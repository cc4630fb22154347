"""Logs are JSON for machines, text for people, and silent about what was said."""

import io
import json
import logging

import structlog

from web.logs import logging_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_our_lines_and_those_of_libraries_carry_the_turn() -> None:
    stream = io.StringIO()
    with logging_to(stream), structlog.contextvars.bound_contextvars(turn="turn_1"):
        structlog.get_logger().info("ours", tokens=3)
        logging.getLogger("hypercorn.error").warning("theirs %s", "too")
    ours, theirs = lines_of(stream)
    assert (ours["event"], ours["turn"], ours["tokens"]) == ("ours", "turn_1", 3)
    assert (theirs["event"], theirs["turn"]) == ("theirs too", "turn_1")
    assert (theirs["logger"], theirs["level"]) == ("hypercorn.error", "warning")


def test_what_is_below_the_level_is_not_written() -> None:
    stream = io.StringIO()
    with logging_to(stream, "warning"):
        structlog.get_logger().info("no")
        logging.getLogger("quart.app").info("no")
        structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines_of(stream)] == ["yes"]


def test_libraries_that_log_every_request_do_not() -> None:
    stream = io.StringIO()
    with logging_to(stream, "debug"):
        logging.getLogger("httpx").info("HTTP Request: POST https://upstream/secret")
    assert stream.getvalue() == ""


def test_tracebacks_show_no_local_variables() -> None:
    said = "-".join(["what", "the", "user", "said"])
    for stream in (io.StringIO(), Terminal()):
        with logging_to(stream):
            try:
                raise ValueError(len(said))
            except ValueError:
                structlog.get_logger().exception("failed")
        assert "ValueError" in stream.getvalue()
        assert said not in stream.getvalue()


def test_a_terminal_gets_text() -> None:
    stream = Terminal()
    with logging_to(stream):
        structlog.get_logger().info("hello", tokens=3)
    assert "hello" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_everything_is_as_before_afterwards() -> None:
    before = logging.getLogger().handlers[:]
    with logging_to(io.StringIO()):
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before
    assert not structlog.is_configured()
