"""Chooses the API key of each call and records which keys the provider refused."""

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import trio

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import FailureKind, UpstreamFailure

FailureRecorder = Callable[[UpstreamFailure], UpstreamFailure]
"""`Credentials.record_failure` bound to the key of a call."""

_VISIBLE_ASCII = re.compile(r"[!-~]+")


class Ring(Protocol):
    """The rotation of a provider's keys (`actors.routing.key_ring.KeyRing`)."""

    def next(self, now: float, /) -> str | None:
        """Return the key for the next call, or None if no key is usable."""

    def has_other(self, key: str, now: float, /) -> bool:
        """Return True if a key other than this one is usable."""

    def refused(self, key: str, now: float, /) -> None:
        """Rest a key that the provider refused."""

    def accepted(self, key: str, /) -> None:
        """Let the next rest of a key be short, since the provider accepted it."""


class Credentials:
    """All keys of a provider, and the ring of the same keys; neither if it needs no key.

    The route board reads the same ring. Raises `ValueError` for a key that cannot be sent.
    """

    __slots__ = ("_ring", "secrets")

    def __init__(self, keys: Sequence[str] = (), ring: Ring | None = None) -> None:
        self.secrets = tuple(keys)
        """The keys in clear text, for redaction."""
        if not all(map(_VISIBLE_ASCII.fullmatch, self.secrets)):
            raise ValueError("a key is empty or contains characters that are not visible ASCII")
        self._ring = ring

    def take(self) -> str | None:
        """Return the key for the next call, or None if the provider needs none.

        Raises `UpstreamFailure` if all keys have been refused: the call must not be sent.
        """
        if self._ring is None:
            return None
        key = self._ring.next(trio.current_time())
        if key is None:
            raise UpstreamFailure(
                FailureKind.REJECTED,
                "the provider has no usable key",
                status=401,
                code="no_usable_key",
            )
        return key

    def record_failure(self, key: str | None, failure: UpstreamFailure) -> UpstreamFailure:
        """Record a failed call with `key`; return the failure to raise.

        A failure of credentials rests the key.
        """
        if (
            self._ring is None
            or key is None
            or failure_class_of(failure) is not FailureClass.CREDENTIALS
        ):
            return failure
        now = trio.current_time()
        failure.another_key = self._ring.has_other(key, now)
        self._ring.refused(key, now)
        return failure

    def record_success(self, key: str | None) -> None:
        """Record that the provider began to answer a call with `key`."""
        if self._ring is not None and key is not None:
            self._ring.accepted(key)
