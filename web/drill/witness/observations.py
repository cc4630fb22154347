"""Records requests and disconnects at the simulated provider, as evidence for tests.

Times are in seconds of CLOCK_MONOTONIC, which all processes of a machine share, so that a client
in another process can compare them with its own.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Literal

import msgspec
import trio
from msgspec import Struct
from msgspec.structs import asdict, replace

from actors.providers.simulated.steps import Step
from actors.turn.chunks import TextChunk
from actors.turn.model_call import JSON
from store.records.private_files import private
from web.drill.witness.formats.base import IncomingCall

_MAX_RECORDS = 20_000
"""Maximum number of requests that `GET /witness` reports; older ones are only in the file."""
_MAX_WAITING = 100_000
"""Maximum number of events that wait for a slow disk; one more stops the server."""
_DRAIN_S = 2.0

ClosedBy = Literal["fin", "reset"]
EventName = Literal["begin", "head", "token", "end", "closed"]


class WitnessEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the witness file."""

    t: float
    request: int
    event: EventName
    tokens: int
    """Tokens sent so far, or generated so far if the answer isn't streamed."""
    how: str | None = None
    """For `end`: `complete`, `rejected`, `stopped` or a fault; for `closed`: `fin` or `reset`."""
    id: str | None = None
    user: JSON = None
    metadata: JSON = None
    model: str | None = None
    stream: bool | None = None


class Report(Struct, kw_only=True):
    """State of one request; times are None until they happen."""

    request: int
    id: str | None
    user: JSON
    metadata: JSON
    model: str
    stream: bool
    began: float
    head_at: float | None = None
    first_token_at: float | None = None
    tokens_sent: int = 0
    ended_at: float | None = None
    how: str | None = None
    closed_at: float | None = None
    closed_by: ClosedBy | None = None
    text_sent: str = ""


class Witness:
    """A recorder of requests that passes every event to `note`."""

    def __init__(
        self,
        note: Callable[[WitnessEvent], None] = lambda event: None,
        *,
        tokens: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.note = note
        self.records_tokens = tokens
        self.clock = clock
        self._requests: OrderedDict[int, WitnessedRequest] = OrderedDict()
        self._named: dict[str, list[WitnessedRequest]] = {}
        """Requests by witness id and by user: tests ask for theirs while they wait."""
        self._request_count = 0

    def begin(
        self, incoming: IncomingCall, id: str | None, steps: tuple[Step, ...]
    ) -> "WitnessedRequest":
        """Start the record of a request."""
        self._request_count += 1
        report = Report(
            request=self._request_count,
            id=id,
            user=incoming.user,
            metadata=incoming.metadata,
            model=incoming.call.upstream_model,
            stream=incoming.stream,
            began=self.clock(),
        )
        record = self._requests[self._request_count] = WitnessedRequest(self, report, steps)
        for name in record.names:
            self._named.setdefault(name, []).append(record)
        if len(self._requests) > _MAX_RECORDS:
            _, oldest = self._requests.popitem(last=False)
            for name in oldest.names:
                self._named[name].pop(0)
                if not self._named[name]:
                    del self._named[name]
        return record

    def forget(self) -> None:
        """Forget all requests; the numbering continues."""
        self._requests.clear()
        self._named.clear()

    def reports(self, id: str | None = None) -> list[Report]:
        """Return the reports in order of arrival, filtered by witness id or user if `id` is set."""
        records = self._requests.values() if id is None else self._named.get(id, ())
        return [record.report() for record in records]


class WitnessedRequest:
    """A record of one request and its answer."""

    def __init__(self, witness: Witness, report: Report, steps: tuple[Step, ...]) -> None:
        self.number = report.request
        self._witness = witness
        self._report = report
        self._steps = steps
        self._steps_sent = 0
        begun = {"t": report.began, "event": "begin", "tokens": 0, **asdict(report)}
        witness.note(msgspec.convert(begun, WitnessEvent))

    def head(self) -> None:
        """Record that the response head has been sent."""
        self._report.head_at = self._note("head")

    def sent(self, steps: tuple[Step, ...]) -> None:
        """Record that steps have been sent (or generated, if the answer isn't streamed)."""
        self._steps_sent += len(steps)
        tokens = sum([step.tokens for step in steps])
        if not tokens:
            return
        self._report.tokens_sent += tokens
        if self._report.first_token_at is None:
            self._report.first_token_at = self._witness.clock()
        if self._witness.records_tokens:
            self._note("token")

    def end(self, how: str) -> None:
        """Record the end of the answer; only the first call counts, and none after `closed`."""
        report = self._report
        if report.ended_at is None and report.closed_at is None:
            report.ended_at, report.how = self._note("end", how), how

    def closed(self, by: ClosedBy) -> None:
        """Record the peer's disconnect; only the first call counts."""
        if self._report.closed_at is None:
            self._report.closed_at, self._report.closed_by = self._note("closed", by), by

    @property
    def names(self) -> set[str]:
        """The witness id and the user of the request."""
        return {name for name in (self._report.id, self._report.user) if isinstance(name, str)}

    def report(self) -> Report:
        """Return the current state."""
        acts = [step.act for step in self._steps[: self._steps_sent]]
        texts = [act.text for act in acts if isinstance(act, TextChunk)]
        return replace(self._report, text_sent="".join(texts))

    def _note(self, event: EventName, how: str | None = None) -> float:
        t, tokens = self._witness.clock(), self._report.tokens_sent
        number = self._report.request
        self._witness.note(WitnessEvent(t=t, request=number, event=event, tokens=tokens, how=how))
        return t


WitnessEvents = trio.MemoryReceiveChannel[WitnessEvent]


def witness_channel() -> tuple[trio.MemorySendChannel[WitnessEvent], WitnessEvents]:
    """Return the channel from a witness (`send_nowait`) to `keep_witness_file`."""
    return trio.open_memory_channel[WitnessEvent](_MAX_WAITING)


async def keep_witness_file(
    path: Path,
    events: WitnessEvents,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Append events as JSON lines until the sender closes, for at most 2 s after a cancellation.

    Raises `OSError` if the file cannot be written.
    """
    opened = await trio.to_thread.run_sync(lambda: open(path, "ab", opener=private))  # noqa: SIM115
    with events, opened as file:
        task_status.started()
        try:
            await _append(file, events)
        except trio.Cancelled:
            # Shielded: a test that stops the server still needs the events recorded so far.
            with trio.move_on_after(_DRAIN_S, shield=True):
                await _append(file, events)
            raise


async def _append(file: BinaryIO, events: WitnessEvents) -> None:
    """Write the events with one thread call per batch."""
    async for first in events:
        waiting = range(events.statistics().current_buffer_used)
        batch = [first, *[events.receive_nowait() for _ in waiting]]
        with trio.CancelScope(shield=True):  # a cancellation must not lose the batch
            await trio.to_thread.run_sync(_write, file, batch)


def _write(file: BinaryIO, batch: Iterable[WitnessEvent]) -> None:
    file.write(b"".join([msgspec.json.encode(one) + b"\n" for one in batch]))
    file.flush()
