"""What a simulated model remembers of calls, and how little of each."""

from sys import getsizeof

from actors.providers.base import ModelCall
from actors.providers.simulated.history import History


def call(user: str, question: str = "Hi", model: str = "sim") -> ModelCall:
    return ModelCall(
        upstream_model=model,
        messages=[{"role": "user", "content": question}],
        parameters={"user": user},
    )


def test_a_conversation_is_a_model_a_user_and_a_question() -> None:
    history = History()
    asked = [
        history.meet(one, now_s=1.0).asked
        for one in (
            call("a"),
            call("a"),
            call("b"),
            call("a", question="Ho"),
            call("a", model="sim:cut=1"),
            call("a"),
        )
    ]
    assert asked == [0, 1, 0, 0, 0, 2]


def test_little_is_remembered_of_a_long_request() -> None:
    history = History()
    history.meet(call("a" * 1_000_000, question="b" * 1_000_000), now_s=1.0)
    ((model, user, question),) = history._asked
    assert getsizeof(user) + getsizeof(question) + getsizeof(model) < 1000
