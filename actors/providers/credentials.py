"""The keys that a provider sends: one for each call, and what a refused one means to the next."""

import re
from collections.abc import Callable, Sequence

import trio

from actors.providers.base import FailureKind, UpstreamFailure
from actors.routing.keys import KeyRing
from actors.trouble import Trouble, trouble_of

Judge = Callable[[UpstreamFailure], UpstreamFailure]
"""`Credentials.judge` with the key of a call."""

_VISIBLE_ASCII = re.compile(r"[!-~]+")
_FORBIDDEN = 403
"""May be about one model only: it is the route that is left alone then, not the key."""


class Credentials:
    """All keys of a provider, or none for one that takes no key.

    `ring` has the same keys and is shared with whoever else wants to know which can be used.
    Raises `ValueError` for a key that cannot be sent.
    """

    __slots__ = ("_ring", "secrets")

    def __init__(self, keys: Sequence[str] | None = None, ring: KeyRing | None = None) -> None:
        self.secrets = tuple(keys or ())
        """The keys in clear, for whatever takes them out of texts."""
        if not all(map(_VISIBLE_ASCII.fullmatch, self.secrets)):
            raise ValueError("a key is empty or has odd characters in it")
        self._ring = KeyRing(self.secrets) if ring is None and keys is not None else ring

    def take(self) -> str | None:
        """The key for the next call; None where none is wanted.

        Raises `UpstreamFailure` where all have been refused: then nothing is to be asked.
        """
        if self._ring is None:
            return None
        key = self._ring.next(trio.current_time())
        if key is None:
            raise UpstreamFailure(
                FailureKind.REJECTED,
                "the provider has no key that can be used",
                status=401,
                code="no_usable_key",
            )
        return key

    def judge(self, key: str | None, failure: UpstreamFailure) -> UpstreamFailure:
        """Note what a failure of a call with `key` says of it; returns the failure to raise."""
        if self._ring is None or key is None or trouble_of(failure) is not Trouble.CREDENTIALS:
            return failure
        now = trio.current_time()
        failure.another_key = self._ring.others(key, now)
        if failure.status != _FORBIDDEN:
            self._ring.refused(key, now)
        return failure
