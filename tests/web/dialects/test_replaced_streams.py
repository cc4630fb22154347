"""Tests of streams whose text a guard replaces after it was sent."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.answer.builder import fold
from actors.journal.journal import Journal
from actors.turn import events
from actors.turn.events import AnyEvent, Text
from actors.turn.outcome import Reason
from tests.support.dialect_journals import DIALECTS
from tests.support.sample_events import STARTED, answer_events, ended
from tests.support.sizes import examples
from web.dialects.frames import START, parse_cursor

NEW = "replacement"

answers = st.lists(answer_events | st.just(Text("shown secret")), max_size=10)


def replaced(answer: list[AnyEvent], new: str = NEW) -> list[AnyEvent]:
    """Return the journal of an answer with some text that a guard replaces at its end."""
    shown: list[AnyEvent] = [STARTED, Text("shown secret"), *answer]
    replacement = events.Replace(new, "guard", len(shown))
    return [*shown, replacement, ended(Reason.CONTENT_FILTER)]


def withdrawn(journal: list[AnyEvent]) -> list[AnyEvent]:
    kept = Journal(list(journal))
    kept.withdraw_text()
    return kept.events


def ids(stream: bytes) -> list[str]:
    lines = stream.decode().splitlines()
    return [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(50))
@given(answer=answers, new=st.sampled_from([NEW, ""]))
def test_client_that_returns_gets_the_end_and_no_text(
    name: str, answer: list[AnyEvent], new: str
) -> None:
    journal = replaced(answer, new)
    live = DIALECTS[name].stream({}, START).render(journal[:-1])
    whole = DIALECTS[name].stream({}, START).render(journal)
    for after in ids(live):
        again = DIALECTS[name].stream({}, parse_cursor(after, name))
        rest = again.render(withdrawn(journal))
        end = whole[len(live) :]
        assert ids(rest)[-len(ids(end)) :] == ids(end)
        assert b"shown secret" not in rest
        if name != "openai-responses":  # whose last event has the state of items without text
            assert rest.endswith(end)
        if after == ids(live)[-1]:
            assert ids(rest) == ids(end)


@pytest.mark.parametrize("name", DIALECTS)
@settings(max_examples=examples(50))
@given(answer=answers)
def test_new_reader_gets_the_replacement(name: str, answer: list[AnyEvent]) -> None:
    journal = withdrawn(replaced(answer))
    stream = DIALECTS[name].stream({}, START).render(journal)
    assert b"shown secret" not in stream
    assert NEW.encode() in stream
    assert fold(journal).text == NEW


READ: dict[str, Callable[[bytes], bool]] = {
    "openai-chat": lambda stream: b'"finish_reason":"content_filter"' in stream,
    "anthropic-messages": lambda stream: b'"stop_reason":"refusal"' in stream,
    "openai-responses": lambda stream: b'{"reason":"content_filter"}' in stream,
}


@pytest.mark.parametrize("name", DIALECTS)
def test_end_names_the_content_filter(name: str) -> None:
    stream = DIALECTS[name].stream({}, START).render(replaced([]))
    assert READ[name](stream)
    assert b"shown secret" in stream
