"""The simulated provider in process: scripts played against trio's clock, no network."""

import trio

from actors.chunks import Chunk
from actors.providers.base import Answer, FailureKind, ModelCall, UpstreamFailure
from actors.providers.simulated.behaviour import Fault, FaultKind
from actors.providers.simulated.history import History
from actors.providers.simulated.messages import text_of
from actors.providers.simulated.playhead import Playhead
from actors.providers.simulated.rejections import Rejection
from actors.providers.simulated.scenario import Scenario
from actors.providers.simulated.script import script
from actors.providers.simulated.steps import Script, Torn

_LONG = 16_384
"""Characters of messages from which on a script is written in a thread."""

_AFTER_FINISH_S = 1.0
"""So long an answer that has its finish reason is waited for, over HTTP too."""

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
    """A `Provider` that needs no network. Its faults are those of the same script over HTTP."""

    def __init__(self, name: str, scenario: Scenario | None = None) -> None:
        self._name = name
        self._scenario = scenario or Scenario()
        self._history = History()

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""
        return self._name

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Nothing: what it does not know it may ignore, like a model."""
        return ()

    async def open(self, call: ModelCall, *, connect_s: float) -> Answer:
        """Answer after the model's `head` delay; there is nothing to connect to."""
        begun_at = trio.current_time()
        played = await self._script(call, begun_at)
        await trio.sleep_until(begun_at + played.head_s)
        if isinstance(played.opening, Rejection):
            raise _rejected(played.opening)
        if played.opening is not None:
            await _play_fault(played.opening)
        return SimulatedAnswer(played)

    async def _script(self, call: ModelCall, now_s: float) -> Script:
        past = self._history.meet(call, now_s)
        if sum(len(text_of(message)) for message in call.messages) < _LONG:
            return script(call, self._scenario, past)
        return await trio.to_thread.run_sync(script, call, self._scenario, past)


class SimulatedAnswer:
    """An `Answer` that plays a script from the moment of its creation."""

    ignored: tuple[str, ...] = ()

    def __init__(self, played: Script) -> None:
        self._playhead = Playhead(played.steps)
        self._begun_at = trio.current_time()
        self._closed = False

    async def receive(self) -> list[Chunk]:
        """The chunks that are due; a slow caller gets several at once, as from a socket."""
        if self._closed:
            raise trio.ClosedResourceError("this answer was closed")
        if self._playhead.ended():
            await trio.lowlevel.checkpoint()
            return []
        await trio.sleep_until(self._begun_at + self._playhead.due_s)
        chunks: list[Chunk] = []
        for step in self._playhead.take(trio.current_time() - self._begun_at):
            if isinstance(step.act, Torn):
                raise UpstreamFailure(FailureKind.MALFORMED, "A frame broke off inside its text.")
            if isinstance(step.act, Fault):
                await _play_fault(step.act)  # returns only where the answer is whole
            else:
                chunks.append(step.act)
        return chunks

    def release(self) -> None:
        """The same as `close`: there is no connection to keep."""
        self._closed = True

    def close(self) -> None:
        """Forget the rest of the script."""
        self._closed = True


async def _play_fault(fault: Fault) -> None:
    if fault.kind is FaultKind.HANG:
        return await trio.sleep(_AFTER_FINISH_S)
    if fault.kind in (FaultKind.SILENT, FaultKind.STALL):
        await trio.sleep_forever()
    if fault.kind is FaultKind.HTML:
        raise _failed_with_status(fault.status, "The response is an HTML page.")
    kind, message = _FAILURES[fault.kind]
    type = "server_error" if fault.kind is FaultKind.ERROR_FRAME else None
    raise UpstreamFailure(kind, message, code=fault.code, type=type)


def _rejected(rejection: Rejection) -> UpstreamFailure:
    return UpstreamFailure(
        _kind_of_status(rejection.status),
        rejection.message,
        status=rejection.status,
        code=rejection.code,
        type=rejection.type,
        param=rejection.param,
        retry_after_s=rejection.retry_after_s,
    )


def _failed_with_status(status: int, message: str) -> UpstreamFailure:
    return UpstreamFailure(_kind_of_status(status), message, status=status)


def _kind_of_status(status: int) -> FailureKind:
    return FailureKind.REJECTED if 400 <= status < 500 else FailureKind.SERVER_ERROR
