"""The in-process simulated provider: runs scripts against trio's clock, without a network."""

from collections.abc import Callable

import msgspec
import trio

from actors.ports import AnswerStream, ignore
from actors.providers.simulated.options.behaviour import Fault, FaultKind
from actors.providers.simulated.options.grammar import Scenario
from actors.providers.simulated.script import History, script
from actors.providers.simulated.steps import Playhead, Script, TornFrame
from actors.turn.chunks import Chunk
from actors.turn.messages import text_of
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import ErrorInfo

_LONG = 16_384
"""Length of a call's messages, in characters, from which the script is built in a thread."""

_FAILURES = {
    FaultKind.REFUSE: (FailureKind.REFUSED, "The connection was reset."),
    FaultKind.GARBAGE: (FailureKind.SERVER_ERROR, "The response is not HTTP."),
    FaultKind.CUT: (FailureKind.TRUNCATED, "The connection closed before the answer's end."),
    FaultKind.BREAK: (FailureKind.TRUNCATED, "The connection closed inside a frame."),
    FaultKind.RESET: (FailureKind.TRUNCATED, "The connection was reset before the answer's end."),
    FaultKind.END: (FailureKind.TRUNCATED, "The stream ended without a finish reason."),
    FaultKind.NOISE: (FailureKind.TRUNCATED, "The response's framing is broken."),
    FaultKind.ERROR_FRAME: (FailureKind.IN_STREAM_ERROR, "The simulated model failed midway."),
}


class SimulatedProvider:
    """A `Provider` without a network that fails as the same script does over HTTP."""

    def __init__(self, name: str, scenario: Scenario | None = None) -> None:
        self._name = name
        self._scenario = scenario or Scenario()
        self._history = History()

    @property
    def name(self) -> str:
        """Provider name in the configuration."""
        return self._name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return no parameters: a simulated model ignores those it doesn't know."""
        return ()

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> AnswerStream:
        """Open an answer after the model's `head` delay.

        `connect_s` and `alive` are not used. Raises `UpstreamFailure`, or never returns for the
        `SILENT` fault.
        """
        started_at = trio.current_time()
        script = await self._script(call, started_at)
        # From the start, so that the time a long script takes to build doesn't add to the delay.
        await trio.sleep_until(started_at + script.head_s)
        if isinstance(script.opening, ErrorInfo):
            raise failure_of(script.opening)
        if script.opening is not None:
            await _run_fault(script.opening)
        return SimulatedAnswer(script)

    async def _script(self, call: ModelCall, now_s: float) -> Script:
        past = self._history.note(call, now_s)
        if sum(len(text_of(message)) for message in call.messages) < _LONG:
            return script(call, self._scenario, past)
        return await trio.to_thread.run_sync(script, call, self._scenario, past)


class SimulatedAnswer:
    """An `AnswerStream` that runs a script, timed from the answer's creation."""

    ignored: tuple[str, ...] = ()

    def __init__(self, script: Script) -> None:
        self._playhead = Playhead(script.steps)
        self._started_at = trio.current_time()
        self._closed = False

    async def receive(self) -> list[Chunk]:
        """Return the chunks that are due, or an empty list at the end.

        A slow caller gets several chunks at once, as from a socket. Raises `UpstreamFailure` when
        a fault is due.
        """
        if self._closed:
            raise trio.ClosedResourceError("this answer is closed")
        if self._playhead.ended():
            await trio.lowlevel.checkpoint()
            return []
        await trio.sleep_until(self._started_at + self._playhead.due_s)
        chunks: list[Chunk] = []
        for step in self._playhead.take(trio.current_time() - self._started_at):
            if isinstance(step.act, TornFrame):
                raise UpstreamFailure(FailureKind.MALFORMED, "A frame broke off inside its text.")
            if isinstance(step.act, Fault):
                await _run_fault(step.act)
            else:
                chunks.append(step.act)
        return chunks

    def release(self) -> None:
        """Close the answer; no connection exists that could be reused."""
        self._closed = True

    def close(self) -> None:
        """Close the answer and drop the rest of the script."""
        self._closed = True


async def _run_fault(fault: Fault) -> None:
    if fault.kind in (FaultKind.SILENT, FaultKind.STALL, FaultKind.HANG):
        await trio.sleep_forever()
    if fault.kind is FaultKind.HTML:
        kind = _kind_of_status(fault.status)
        raise UpstreamFailure(kind, "The response is an HTML page.", status=fault.status)
    kind, message = _FAILURES[fault.kind]
    type = "server_error" if fault.kind is FaultKind.ERROR_FRAME else None
    raise UpstreamFailure(kind, message, code=fault.code, type=type)


def failure_of(error: ErrorInfo) -> UpstreamFailure:
    """Return the failure of a call that got an HTTP error."""
    return UpstreamFailure(_kind_of_status(error.status), **msgspec.structs.asdict(error))


def _kind_of_status(status: int) -> FailureKind:
    return FailureKind.REJECTED if 400 <= status < 500 else FailureKind.SERVER_ERROR
