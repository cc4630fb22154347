"""Tests of the call history: conversations and bounded keys."""

from sys import getsizeof

from actors.providers.simulated.script import History
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall


def call(user: str, question: str = "Hi", model: str = "sim") -> ModelCall:
    return ModelCall(
        upstream_model=model,
        messages=read_messages([{"role": "user", "content": question}]),
        parameters={"user": user},
    )


def test_conversations_differ_by_model_user_and_question() -> None:
    history = History()
    requests = [
        history.note(one, now_s=1.0).requests
        for one in (
            call("a"),
            call("a"),
            call("b"),
            call("a", question="Ho"),
            call("a", model="sim:cut=1"),
            call("a"),
        )
    ]
    assert requests == [0, 1, 0, 0, 0, 2]


def test_history_keys_are_bounded() -> None:
    history = History()
    history.note(call("a" * 1_000_000, question="b" * 1_000_000), now_s=1.0)
    ((model, user, question),) = history._counts
    assert getsizeof(user) + getsizeof(question) + getsizeof(model) < 1000
