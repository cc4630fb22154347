"""Tests of credentials: choice of the key for a call, and failures that rest a key."""

import pytest
import trio
from trio.testing import MockClock

from actors.providers.http.credentials import Credentials
from actors.routing.key_ring import REST_S, KeyRing
from actors.turn.model_call import FailureKind, UpstreamFailure
from tests.support.scripted_connections import credentials_of


def rejected(status: int, code: str | None = None, message: str = "no") -> UpstreamFailure:
    return UpstreamFailure(FailureKind.REJECTED, message, status=status, code=code)


async def exhausted(credentials: Credentials) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        credentials.take()
    return caught.value


async def test_keys_are_rotated() -> None:
    credentials = credentials_of("a", "b")
    assert [credentials.take() for _ in range(4)] == ["a", "b", "a", "b"]


async def test_without_keys_no_key_is_sent_and_none_is_exhausted() -> None:
    credentials = Credentials()
    failure = rejected(401)
    assert credentials.take() is None
    assert credentials.record_failure(None, failure) is failure
    assert not failure.another_key
    assert credentials.take() is None


@pytest.mark.parametrize(
    "failure",
    [
        rejected(401),
        rejected(402),
        rejected(403, message="Your API key does not have permission."),
        rejected(429, "insufficient_quota"),
    ],
    ids=str,
)
async def test_refused_key_is_paused_and_another_one_is_offered(
    failure: UpstreamFailure, mock_clock: MockClock
) -> None:
    credentials = credentials_of("a", "b")
    credentials.take()
    assert credentials.record_failure("a", failure) is failure
    assert failure.another_key
    assert [credentials.take() for _ in range(3)] == ["b", "b", "b"]
    mock_clock.jump(REST_S)
    assert "a" in [credentials.take(), credentials.take()]


@pytest.mark.parametrize(
    "failure",
    [
        rejected(400),
        rejected(400, message="Your credit balance is too low."),
        rejected(402, message="requires more credits, or fewer max_tokens"),
        rejected(403),
        rejected(404),
        rejected(429, "rate_limit_exceeded"),
        UpstreamFailure(FailureKind.SERVER_ERROR, "oh", status=500),
        UpstreamFailure(FailureKind.REFUSED, "oh"),
    ],
    ids=str,
)
async def test_other_failures_do_not_affect_the_key(failure: UpstreamFailure) -> None:
    credentials = credentials_of("a")
    credentials.record_failure("a", failure)
    assert not failure.another_key
    assert credentials.take() == "a"


async def test_refusal_of_the_last_key_exhausts_the_ring() -> None:
    credentials = credentials_of("a", "b")
    credentials.record_failure("a", rejected(401))
    last = credentials.record_failure("b", rejected(401))
    assert not last.another_key
    failure = await exhausted(credentials)
    assert (failure.kind, failure.status, failure.code) == (
        FailureKind.REJECTED,
        401,
        "no_usable_key",
    )
    assert "no usable key" in failure.message


async def test_key_ring_is_shared() -> None:
    ring = KeyRing(["a"])
    credentials = Credentials(["a"], ring)
    ring.refused("a", trio.current_time())
    assert (await exhausted(credentials)).code == "no_usable_key"
    ring.reset()
    assert credentials.take() == "a"


async def test_empty_ring_differs_from_no_ring() -> None:
    assert (await exhausted(credentials_of())).code == "no_usable_key"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ü"])
def test_a_key_that_cannot_be_sent(key: str) -> None:
    with pytest.raises(ValueError, match="not visible ASCII"):
        credentials_of("good", key)
