"""Records requests and disconnects at the simulated provider, as evidence for tests.

Times are in seconds of CLOCK_MONOTONIC, which all processes of a machine share, so that a client
in another process can compare them with its own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from actors.providers.simulated import Script
from actors.providers.simulated.steps import Step
from actors.turn.chunks import TextChunk
from actors.turn.model_call import JSON
from web.drill.witness.formats.base import IncomingCall

_MAX_RECORDS = 20_000
"""Maximum number of requests that `GET /witness` reports; older ones are only in the file."""

ClosedBy = Literal["fin", "reset"]


class WitnessEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the witness file."""

    t: float
    request: int
    event: Literal["begin", "head", "token", "end", "closed"]
    tokens: int
    """Tokens sent so far, or generated so far if the answer isn't streamed."""
    how: str | None = None
    """For `end`: `complete`, `rejected`, `stopped` or a fault; for `closed`: `fin` or `reset`."""
    id: str | None = None
    user: JSON = None
    metadata: JSON = None
    model: str | None = None
    stream: bool | None = None


class Report(Struct, frozen=True, kw_only=True):
    """State of one request; times are None until they happen."""

    request: int
    id: str | None
    user: JSON
    metadata: JSON
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
    """A recorder of requests that passes every event to `note`."""

    def __init__(
        self,
        note: Callable[[WitnessEvent], None] | None = None,
        *,
        tokens: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._note = note
        self.records_tokens = tokens
        self.clock = clock
        self._requests: OrderedDict[int, WitnessedRequest] = OrderedDict()
        self._request_count = 0

    def begin(self, incoming: IncomingCall, id: str | None, script: Script) -> "WitnessedRequest":
        """Start the record of a request."""
        self._request_count += 1
        record = WitnessedRequest(self, self._request_count, incoming, id, script)
        self._requests[self._request_count] = record
        if len(self._requests) > _MAX_RECORDS:
            self._requests.popitem(last=False)
        return record

    def forget(self) -> None:
        """Forget all requests; the numbering continues."""
        self._requests.clear()

    def reports(self, id: str | None = None) -> list[Report]:
        """Return the reports in order of arrival, filtered by witness id or user if `id` is set."""
        return [
            record.report()
            for record in self._requests.values()
            if id is None or id in (record.id, record.incoming.user)
        ]

    def note(self, event: WitnessEvent) -> None:
        """Pass an event on."""
        if self._note is not None:
            self._note(event)


class WitnessedRequest:
    """A record of one request and its answer."""

    def __init__(
        self, witness: Witness, number: int, incoming: IncomingCall, id: str | None, script: Script
    ) -> None:
        self.number = number
        self.incoming = incoming
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
        """Record that the response head has been sent."""
        self._head_at = self._witness.clock()
        self._note(self._head_at, "head")

    def sent(self, steps: tuple[Step, ...]) -> None:
        """Record that steps have been sent (or generated, if the answer isn't streamed)."""
        self._steps_sent += len(steps)
        tokens = sum([step.tokens for step in steps])
        if not tokens:
            return
        self._tokens += tokens
        if self._first_token_at is None:
            self._first_token_at = self._witness.clock()
        if self._witness.records_tokens:
            self._note(self._witness.clock(), "token")

    def end(self, how: str) -> None:
        """Record the end of the answer; only the first call counts, and none after `closed`."""
        if self._ended_at is None and self._closed_at is None:
            self._ended_at, self._how = self._witness.clock(), how
            self._note(self._ended_at, "end", how)

    def closed(self, by: ClosedBy) -> None:
        """Record the peer's disconnect; only the first call counts."""
        if self._closed_at is None:
            self._closed_at, self._closed_by = self._witness.clock(), by
            self._note(self._closed_at, "closed", by)

    def report(self) -> Report:
        """Return the current state."""
        sent = self._steps[: self._steps_sent]
        return Report(
            request=self.number,
            id=self.id,
            user=self.incoming.user,
            metadata=self.incoming.metadata,
            model=self.incoming.call.upstream_model,
            stream=self.incoming.stream,
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
            WitnessEvent(t=t, request=self.number, event=event, tokens=self._tokens, how=how)
        )

    def _note_begin(self) -> None:
        self._witness.note(
            WitnessEvent(
                t=self._began,
                request=self.number,
                event="begin",
                tokens=0,
                id=self.id,
                user=self.incoming.user,
                metadata=self.incoming.metadata,
                model=self.incoming.call.upstream_model,
                stream=self.incoming.stream,
            )
        )
