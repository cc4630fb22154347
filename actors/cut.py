"""What becomes of an answer that breaks off after its client has seen some of it. Pure.

Continued, where that can be done without a silent splice; said anew, where the client has been
shown nothing of it yet or its dialect can take text back; else it has failed.
"""

import msgspec

from actors.chunks import Chunk
from actors.continuation import Continuation
from actors.continuing import DEFAULT_INSTRUCTION, Said, continuation, prefilled, why_not_continued
from actors.ledger import Estimates
from actors.outcome import OnCut
from actors.providers.base import FailureKind, ModelCall, Route, UpstreamFailure
from actors.trouble import Trouble, trouble_of
from actors.turn import TurnRequest

_BAD_REQUEST = frozenset({400, 422})
"""A 404, say, is no word about the messages."""


class Cut:
    """What the client has seen of the answer, over all attempts."""

    __slots__ = ("_prefilled", "_request", "_restart", "_said", "failure", "seen")

    def __init__(self, request: TurnRequest) -> None:
        self._request = request
        self._said = Said()
        self._restart: str | None = None
        self._prefilled = False
        self.seen = False
        """Content has been passed on."""
        self.failure: UpstreamFailure | None = None
        """What broke the answer off; None as long as nothing did."""

    def note(self, chunk: Chunk) -> None:
        """This is passed on."""
        self._said.note(chunk)

    def may_go_on(self, failure: UpstreamFailure) -> bool:
        """Whether another attempt may follow this failure; forgets what is to be said anew."""
        if not self.seen:
            return True
        if self.failure is None:
            self.failure = failure
        if self._request.on_cut is OnCut.FAIL or self._was_filtered:
            return False
        if self._request.replaceable:
            self._begin_anew(failure.kind)
            return True
        if self._request.on_cut is OnCut.RESTART:
            return False
        return why_not_continued(self._request.call, self._said) is None

    @property
    def _was_filtered(self) -> bool:
        """Whether it was the provider that would say no more; nobody else is to say it then."""
        return self.failure is not None and trouble_of(self.failure) is Trouble.CONTENT_FILTER

    def _begin_anew(self, kind: FailureKind) -> None:
        self._said = Said()
        self._restart = kind.value
        self.seen = False

    def told_restart(self) -> str | None:
        """Why the client is to forget what it was shown, once."""
        restart, self._restart = self._restart, None
        return restart

    def call_for(self, route: Route, estimates: Estimates, *, prefill: bool) -> ModelCall:
        """What is asked of this route: the client's call, or to go on with what was said."""
        call = msgspec.structs.replace(self._request.call, upstream_model=route.upstream_model)
        shown = self._said.text
        self._prefilled = prefill and bool(shown.strip())
        if not shown.strip():
            return call
        return continuation(
            call,
            shown,
            prefill=prefill,
            instruction=self._request.continue_instruction or DEFAULT_INSTRUCTION,
            used_tokens=estimates.estimate(str(route), shown, 0),
        )

    def joint(self, route: Route) -> Continuation | None:
        """What lets through only the rest of the answer that `call_for` asked `route` for.

        None where all of it is wanted.
        """
        if not self.seen:
            return None
        text = self._said.text
        shown = prefilled(self._request.call) + text if text.strip() else ""
        return Continuation(route, shown, prefill=self._prefilled)

    def prefill_refused(self, failure: UpstreamFailure) -> bool:
        """Whether the route refused to continue an assistant's message, as many models do."""
        asked, self._prefilled = self._prefilled, False
        refused = failure.status in _BAD_REQUEST and trouble_of(failure) is Trouble.REJECTED
        return asked and refused
