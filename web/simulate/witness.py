"""What the simulated provider saw of its callers: the evidence for every claim about disconnects.

Times are seconds of CLOCK_MONOTONIC, which all processes of a machine share, so that a client in
another process can compare its own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from actors.chunks import TextChunk
from actors.providers.simulated import Script
from actors.providers.simulated.steps import Step
from web.simulate.wire import Ask

_KEPT = 20_000
"""Requests that `GET /witness` can tell of; older ones are only in the file."""

ClosedBy = Literal["fin", "reset"]


class Happening(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the witness file."""

    t: float
    request: int
    event: Literal["begin", "head", "token", "end", "closed"]
    tokens: int
    """Sent so far; where the answer is not streamed, made so far."""
    how: str | None = None
    """Of `end`: `complete`, `rejected`, `stopped` or the fault; of `closed`: `fin` or `reset`."""
    id: str | None = None
    user: str | None = None
    metadata: dict[str, object] | None = None
    model: str | None = None
    stream: bool | None = None


class Report(Struct, frozen=True, kw_only=True):
    """All that is known of one request; a time is None until it happens."""

    request: int
    id: str | None
    user: str | None
    metadata: dict[str, object] | None
    model: str
    stream: bool
    began: float
    head_at: float | None
    first_token_at: float | None
    tokens_sent: int
    ended_at: float | None
    how: str | None
    closed_at: float | None
    closed_by: ClosedBy | None
    text_sent: str


class Witness:
    """Keeps a report of each request and hands every happening to `note`."""

    def __init__(
        self,
        note: Callable[[Happening], None] | None = None,
        *,
        tokens: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note = note
        self.tells_tokens = tokens
        self.clock = clock
        self._requests: OrderedDict[int, Sighting] = OrderedDict()
        self._begun = 0

    def begin(self, ask: Ask, id: str | None, script: Script) -> "Sighting":
        """A request has come."""
        self._begun += 1
        sighting = Sighting(self, self._begun, ask, id, script)
        self._requests[self._begun] = sighting
        if len(self._requests) > _KEPT:
            self._requests.popitem(last=False)
        return sighting

    def forget(self) -> None:
        """Forget all requests; numbers go on."""
        self._requests.clear()

    def reports(self, id: str | None = None) -> list[Report]:
        """The requests so far in order; only those of one witness id or user if it is given."""
        return [
            sighting.report()
            for sighting in self._requests.values()
            if id is None or id in (sighting.id, sighting.ask.user)
        ]

    def note(self, happening: Happening) -> None:
        """Hand a happening on."""
        if self._note is not None:
            self._note(happening)


class Sighting:
    """One request while it is being answered."""

    def __init__(
        self, witness: Witness, number: int, ask: Ask, id: str | None, script: Script
    ) -> None:
        self.number = number
        self.ask = ask
        self.id = id
        self._witness = witness
        self._steps = script.steps
        self._steps_sent = 0
        self._tokens = 0
        self._began = witness.clock()
        self._head_at: float | None = None
        self._first_token_at: float | None = None
        self._ended_at: float | None = None
        self._how: str | None = None
        self._closed_at: float | None = None
        self._closed_by: ClosedBy | None = None
        self._note_begin()

    def head(self) -> None:
        """The response's head has been sent."""
        self._head_at = self._witness.clock()
        self._note(self._head_at, "head")

    def sent(self, steps: tuple[Step, ...]) -> None:
        """These steps are on their way (where the answer is not streamed: have been made)."""
        self._steps_sent += len(steps)
        tokens = sum([step.tokens for step in steps])
        if not tokens:
            return
        self._tokens += tokens
        if self._first_token_at is None:
            self._first_token_at = self._witness.clock()
        if self._witness.tells_tokens:
            self._note(self._witness.clock(), "token")

    def end(self, how: str) -> None:
        """Nothing more will be sent; the first time counts, and not after the peer left."""
        if self._ended_at is None and self._closed_at is None:
            self._ended_at, self._how = self._witness.clock(), how
            self._note(self._ended_at, "end", how)

    def closed(self, by: ClosedBy) -> None:
        """The peer's end of the connection was seen; the first time counts."""
        if self._closed_at is None:
            self._closed_at, self._closed_by = self._witness.clock(), by
            self._note(self._closed_at, "closed", by)

    def report(self) -> Report:
        """What is known by now."""
        sent = self._steps[: self._steps_sent]
        return Report(
            request=self.number,
            id=self.id,
            user=self.ask.user,
            metadata=self.ask.metadata,
            model=self.ask.call.upstream_model,
            stream=self.ask.stream,
            began=self._began,
            head_at=self._head_at,
            first_token_at=self._first_token_at,
            tokens_sent=self._tokens,
            ended_at=self._ended_at,
            how=self._how,
            closed_at=self._closed_at,
            closed_by=self._closed_by,
            text_sent="".join([s.act.text for s in sent if isinstance(s.act, TextChunk)]),
        )

    def _note(
        self, t: float, event: Literal["head", "token", "end", "closed"], how: str | None = None
    ) -> None:
        self._witness.note(
            Happening(t=t, request=self.number, event=event, tokens=self._tokens, how=how)
        )

    def _note_begin(self) -> None:
        self._witness.note(
            Happening(
                t=self._began,
                request=self.number,
                event="begin",
                tokens=0,
                id=self.id,
                user=self.ask.user,
                metadata=self.ask.metadata,
                model=self.ask.call.upstream_model,
                stream=self.ask.stream,
            )
        )
