"""Logging: JSON for machines, text for terminals, and no user content."""

import io
import json
import logging
import re

import pytest
import structlog

from web.observability.logs import logging_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_own_and_library_lines_carry_the_turn() -> None:
    stream = io.StringIO()
    with logging_to(stream), structlog.contextvars.bound_contextvars(turn="turn_1"):
        structlog.get_logger().info("ours", tokens=3)
        logging.getLogger("hypercorn.error").warning("theirs %s", "too")
    ours, theirs = lines_of(stream)
    assert (ours["event"], ours["turn"], ours["tokens"]) == ("ours", "turn_1", 3)
    assert (theirs["event"], theirs["turn"]) == ("theirs too", "turn_1")
    assert (theirs["logger"], theirs["level"]) == ("hypercorn.error", "warning")


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    with logging_to(stream, "warning"):
        structlog.get_logger().info("no")
        logging.getLogger("quart.app").info("no")
        structlog.get_logger().warning("yes")
    assert [line["event"] for line in lines_of(stream)] == ["yes"]


def test_httpx_does_not_log_requests() -> None:
    stream = io.StringIO()
    with logging_to(stream, "debug"):
        logging.getLogger("httpx").info("HTTP Request: POST https://upstream/secret")
    assert stream.getvalue() == ""


def test_tracebacks_show_no_local_variables() -> None:
    user_text = "-".join(["what", "the", "user", "said"])
    for stream in (io.StringIO(), Terminal()):
        with logging_to(stream):
            try:
                raise ValueError(len(user_text))
            except ValueError:
                structlog.get_logger().exception("failed")
        assert "ValueError" in stream.getvalue()
        assert user_text not in stream.getvalue()


def test_terminal_gets_text() -> None:
    stream = Terminal()
    with logging_to(stream):
        structlog.get_logger().info("hello", tokens=3)
    assert "hello" in stream.getvalue()
    assert "{" not in stream.getvalue()


def test_logging_is_restored_afterwards() -> None:
    before = logging.getLogger().handlers[:]
    with logging_to(io.StringIO()):
        assert logging.getLogger().handlers != before
    assert logging.getLogger().handlers == before
    assert not structlog.is_configured()


CONTROLS = ["\n", "\x00", "\x1b[2J", "\x7f", "\x9b2J", "\u202e", "\u2028", "\ud800"]
KEPT = "é🤵🏽\u200d♀️"
ESCAPED = r"\n\x00\x1b[2J\x7f\x9b2J\u202e\u2028\ud800" + KEPT


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["json", "terminal"])
def test_control_characters_are_escaped(stream: io.StringIO) -> None:
    text = "".join(CONTROLS) + KEPT
    with logging_to(stream):
        log = structlog.get_logger()
        log.info(text, path=text, models=[text, {text: (text,)}], error=ValueError(text))
        logging.getLogger("library").warning("theirs %s", text)
        try:
            raise ValueError(text)
        except ValueError:
            log.exception("failed")
    colours = re.compile(r"\x1b\[[0-9;]*m")
    written = colours.sub("", stream.getvalue())
    assert [found for found in CONTROLS[1:] if found in written] == []
    assert KEPT in written
    if not stream.isatty():
        ours, theirs, failed = lines_of(stream)
        assert (ours["event"], ours["path"]) == (ESCAPED, ESCAPED)
        assert ours["models"] == [ESCAPED, {ESCAPED: [ESCAPED]}]
        assert theirs["event"] == f"theirs {ESCAPED}"
        assert str(failed["exception"]).startswith("Traceback (most recent call last):\n  File")
