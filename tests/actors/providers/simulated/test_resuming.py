"""Tests of continuing an interrupted answer, by prefill and on request."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated import Script, script
from actors.providers.simulated.prose import pieces
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import TextChunk
from actors.turn.model_call import ModelCall
from actors.turn.outcome import ErrorInfo

QUESTION: dict[str, object] = {"role": "user", "content": "Who is on stage?"}
GO_ON: dict[str, object] = {"role": "user", "content": "Continue exactly where you stopped."}


def ask(model: str, *messages: dict[str, object]) -> Script:
    return script(
        ModelCall(upstream_model=model, messages=read_messages([*messages]), parameters={})
    )


def text(result: Script) -> str:
    return "".join(s.act.text for s in result.steps if isinstance(s.act, TextChunk))


def assistant(content: str) -> dict[str, object]:
    return {"role": "assistant", "content": content}


@given(st.integers(0, 60), st.sampled_from(["sim", "sim:unicode", "sim:count"]))
def test_prefill_is_continued_at_any_cut(at: int, model: str) -> None:
    whole = text(ask(model, QUESTION))
    partial = "".join(pieces(whole)[:at]).rstrip()
    assert partial + text(ask(model, QUESTION, assistant(partial))) == whole


def test_unrelated_prefill_is_answered() -> None:
    assert text(ask("sim", QUESTION, assistant("In the cellar")))


def test_prefill_can_be_refused() -> None:
    opening = ask("sim:noprefill", QUESTION, assistant("The")).opening
    assert isinstance(opening, ErrorInfo)
    assert opening.status == 400
    assert ask("sim:noprefill", QUESTION).opening is None


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("on", "6 7 8 9 10"),
        ("again", "1 2 3 4 5 6 7 8 9 10"),
        ("overlap", "1 2 3 4 5 6 7 8 9 10"),
    ],
)
def test_continuation_on_request(how: str, expected: str) -> None:
    model = f"sim:count,tokens=10,resume={how}"
    assert text(ask(model, QUESTION, assistant("1 2 3 4 5"), GO_ON)) == expected


def test_an_overlap_is_a_few_words() -> None:
    model = "sim:count,tokens=10,resume=overlap"
    assert text(ask(model, QUESTION, assistant("1 2 3 4 5 6 7"), GO_ON)) == "3 4 5 6 7 8 9 10"


def test_complete_answer_is_not_continued() -> None:
    model = "sim:count,tokens=3,resume=on"
    assert text(ask(model, QUESTION, assistant("1 2 3"), GO_ON)) == "1 2 3"
    plain = ask("sim", QUESTION, assistant("1"), GO_ON)
    assert plain == ask("sim:resume=on", QUESTION, assistant("1"), GO_ON)
