"""Which key goes with a call, and which failures cost a key its turn."""

import pytest
import trio
from trio.testing import MockClock

from actors.providers.base import FailureKind, UpstreamFailure
from actors.providers.credentials import Credentials
from actors.routing.breaker import CREDIT_COOLDOWN_S
from actors.routing.keys import KeyRing


def rejected(status: int, code: str | None = None, message: str = "no") -> UpstreamFailure:
    return UpstreamFailure(FailureKind.REJECTED, message, status=status, code=code)


async def exhausted(credentials: Credentials) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        credentials.take()
    return caught.value


async def test_keys_take_turns() -> None:
    credentials = Credentials(["a", "b"])
    assert [credentials.take() for _ in range(4)] == ["a", "b", "a", "b"]


async def test_without_keys_nothing_is_sent_and_nothing_is_ever_exhausted() -> None:
    credentials = Credentials()
    failure = rejected(401)
    assert credentials.take() is None
    assert credentials.judge(None, failure) is failure
    assert not failure.another_key
    assert credentials.take() is None


@pytest.mark.parametrize(
    "failure",
    [
        rejected(401),
        rejected(402),
        rejected(429, "insufficient_quota"),
    ],
    ids=str,
)
async def test_a_refused_key_rests_and_another_one_is_offered(
    failure: UpstreamFailure, mock_clock: MockClock
) -> None:
    credentials = Credentials(["a", "b"])
    credentials.take()
    assert credentials.judge("a", failure) is failure
    assert failure.another_key
    assert [credentials.take() for _ in range(3)] == ["b", "b", "b"]
    mock_clock.jump(CREDIT_COOLDOWN_S)
    assert "a" in [credentials.take(), credentials.take()]


@pytest.mark.parametrize(
    "failure",
    [
        rejected(400),
        rejected(400, message="Your credit balance is too low."),
        rejected(402, message="requires more credits, or fewer max_tokens"),
        rejected(404),
        rejected(429, "rate_limit_exceeded"),
        UpstreamFailure(FailureKind.SERVER_ERROR, "oh", status=500),
        UpstreamFailure(FailureKind.REFUSED, "oh"),
    ],
    ids=str,
)
async def test_other_failures_say_nothing_of_the_key(failure: UpstreamFailure) -> None:
    credentials = Credentials(["a"])
    credentials.judge("a", failure)
    assert not failure.another_key
    assert credentials.take() == "a"


async def test_the_last_key_that_is_refused_leaves_nothing_to_ask_with() -> None:
    credentials = Credentials(["a", "b"])
    credentials.judge("a", rejected(401))
    last = credentials.judge("b", rejected(401))
    assert not last.another_key
    failure = await exhausted(credentials)
    assert (failure.kind, failure.status, failure.code) == (
        FailureKind.REJECTED,
        401,
        "no_usable_key",
    )
    assert "no key" in failure.message


async def test_a_ring_is_shared() -> None:
    ring = KeyRing(["a"])
    credentials = Credentials(["a"], ring)
    ring.refused("a", trio.current_time())
    assert (await exhausted(credentials)).code == "no_usable_key"
    ring.reset()
    assert credentials.take() == "a"


async def test_keys_that_led_to_nothing_are_not_the_same_as_none() -> None:
    assert (await exhausted(Credentials([]))).code == "no_usable_key"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ü"])
def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(ValueError, match="odd characters"):
        Credentials(["good", key])


async def test_what_is_forbidden_may_be_the_model_so_that_the_key_stays() -> None:
    credentials = Credentials(["one", "two"])
    key = credentials.take()
    assert credentials.judge(key, rejected(403)).another_key
    assert {credentials.take(), credentials.take()} == {"one", "two"}
