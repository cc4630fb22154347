"""Tests of frame ids and of resuming after one."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.dialects.frames import (
    PING,
    START,
    BadCursor,
    Cursor,
    Numbering,
    comment,
    data_of,
    parse_cursor,
)


@pytest.mark.parametrize(
    ("text", "cursor"),
    [
        ("chat:0", Cursor(0, 0)),
        ("chat:17", Cursor(0, 17)),
        ("chat:17@2", Cursor(2, 17)),
        ("17", Cursor(0, 17)),
        ("17@3", Cursor(3, 17)),
        (" chat:17\t", Cursor(0, 17)),
        ("0000000017", Cursor(0, 17)),
    ],
)
def test_cursor_is_parsed(text: str, cursor: Cursor) -> None:
    assert parse_cursor(text, "chat") == cursor


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "chat",
        "chat:",
        "chat:x",
        "chat:-1",
        "-1",
        "1.5",
        "chat:1@",
        "chat:1@x",
        "chat:1 2",
        "1" * 11,
        "chat:1@" + "1" * 7,
        "\u0661\u0667",
        "x" * 10_000,
    ],
)
def test_invalid_cursor_is_rejected(text: str) -> None:
    with pytest.raises(BadCursor, match="is not a frame id"):
        parse_cursor(text, "chat")


def test_cursor_of_another_dialect_is_rejected() -> None:
    with pytest.raises(BadCursor, match="another dialect; this stream is 'chat'"):
        parse_cursor("other:17", "chat")


def test_error_is_short() -> None:
    with pytest.raises(BadCursor) as caught:
        parse_cursor("x" * 10_000, "chat")
    assert len(str(caught.value)) < 200


@given(st.text())
def test_any_text_is_a_cursor_or_an_error(text: str) -> None:
    try:
        cursor = parse_cursor(text, "chat")
    except BadCursor:
        return
    assert cursor > START


def test_later_epoch_is_greater_than_any_number() -> None:
    assert START < Cursor(0, 0) < Cursor(0, 999) < Cursor(1, 0)


def test_frames_are_numbered_from_0() -> None:
    numbering = Numbering("chat", START)
    assert numbering.frame(b"a") == b"id: chat:0\ndata: a\n\n"
    assert numbering.frame(b"b") == b"id: chat:1\ndata: b\n\n"


def test_named_frames_share_the_numbering() -> None:
    numbering = Numbering("chat", START)
    assert numbering.event(b"begin", b"a") == b"id: chat:0\nevent: begin\ndata: a\n\n"
    assert numbering.frame(b"b") == b"id: chat:1\ndata: b\n\n"
    numbering.new_epoch(2)
    assert numbering.event(b"end", b"c") == b"id: chat:2@2\nevent: end\ndata: c\n\n"


def test_named_frames_up_to_the_cursor_are_omitted() -> None:
    numbering = Numbering("chat", Cursor(0, 0))
    assert [numbering.event(b"x", b"") for _ in range(2)] == [
        b"",
        b"id: chat:1\nevent: x\ndata: \n\n",
    ]


def test_formatted_frames_share_the_numbering() -> None:
    numbering = Numbering("chat", START)
    numbering.frame(b"a")
    number = numbering.take()
    made = numbering.form(b"%b", b'{"n":%d,"x":%b}') % (number, b"grow", number, b"1")
    assert made == b'id: chat:1\nevent: grow\ndata: {"n":1,"x":1}\n\n'
    numbering.new_epoch(1)
    assert numbering.form(b"end", b"") % numbering.take() == b"id: chat:2@1\nevent: end\ndata: \n\n"


def test_take_returns_no_number_for_a_frame_that_the_client_has() -> None:
    numbering = Numbering("chat", Cursor(0, 1))
    assert [numbering.take() for _ in range(4)] == [-1, -1, 2, 3]


def test_data_of_frames_is_extracted() -> None:
    numbering = Numbering("chat", START)
    stream = PING + numbering.frame(b"1") + comment("data: no") + numbering.event(b"x", b"2")
    assert data_of(stream) == [b"1", b"2"]


def test_frames_up_to_the_cursor_are_omitted() -> None:
    numbering = Numbering("chat", Cursor(0, 1))
    assert [numbering.frame(b"x") for _ in range(3)] == [b"", b"", b"id: chat:2\ndata: x\n\n"]


def test_numbers_continue_in_a_new_epoch() -> None:
    numbering = Numbering("chat", START)
    numbering.frame(b"a")
    numbering.new_epoch(1)
    assert numbering.frame(b"b") == b"id: chat:1@1\ndata: b\n\n"


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (Cursor(0, 2), "no frame 'chat:2'; the last one is 'chat:1'."),
        (Cursor(1, 0), "no frame 'chat:0@1'; the last one is 'chat:1'."),
        (Cursor(0, 9_999_999_999), "no frame 'chat:9999999999'; the last one is 'chat:1'."),
    ],
)
def test_cursor_beyond_the_last_frame_is_rejected(after: Cursor, words: str) -> None:
    numbering = Numbering("chat", after)
    numbering.frame(b"a")
    numbering.frame(b"b")
    assert numbering.client_is_ahead
    with pytest.raises(BadCursor, match=re.escape(words)):
        numbering.check()


@pytest.mark.parametrize("after", [START, Cursor(0, 0), Cursor(0, 1)])
def test_cursor_of_any_sent_frame_is_accepted(after: Cursor) -> None:
    numbering = Numbering("chat", after)
    assert numbering.client_is_ahead == (after != START)
    numbering.frame(b"a")
    numbering.frame(b"b")
    assert not numbering.client_is_ahead
    numbering.check()
    assert numbering.last == Cursor(0, 1)


def test_cursor_is_rejected_before_the_first_frame() -> None:
    Numbering("chat", START).check()
    with pytest.raises(BadCursor, match="no frame 'chat:0'; there is none yet"):
        Numbering("chat", Cursor(0, 0)).check()


def test_cursor_of_a_lost_frame_is_accepted_after_a_recovery() -> None:
    numbering = Numbering("chat", Cursor(0, 50))
    numbering.frame(b"a")
    assert numbering.client_is_ahead
    numbering.new_epoch(1)
    numbering.frame(b"b")
    numbering.check()
    assert numbering.last == Cursor(1, 1)


def test_numbering_continues_after_another_rendering() -> None:
    first = Numbering("chat", START)
    first.frame(b"a")
    again = Numbering("chat", Cursor(0, 1))
    again.continue_after(first)
    assert again.frame(b"seen") == b""
    assert again.frame(b"b") == b"id: chat:2\ndata: b\n\n"


def test_client_with_lost_frames_gets_the_new_epoch() -> None:
    numbering = Numbering("chat", Cursor(0, 50))
    assert numbering.frame(b"a") == b""
    numbering.new_epoch(1)
    assert numbering.frame(b"b") == b"id: chat:1@1\ndata: b\n\n"


def test_comment_has_no_number_and_one_line() -> None:
    numbering = Numbering("chat", START)
    assert numbering.comment("one\r\ndata: two\nthree") == b": one data: two three\n"
    assert numbering.frame(b"a").startswith(b"id: chat:0\n")


def test_comment_before_a_seen_frame_is_omitted() -> None:
    numbering = Numbering("chat", Cursor(0, 0))
    assert numbering.comment("seen") == b""
    numbering.frame(b"a")
    assert numbering.comment("new") == b": new\n"
