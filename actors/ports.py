"""Interfaces that a turn needs from the outside: storage, events, providers, token estimates."""

from collections.abc import Callable, Sequence
from typing import Protocol

from actors.turn.chunks import Chunk
from actors.turn.lifecycle_events import LifecycleEvent
from actors.turn.model_call import ModelCall
from actors.turn.store_records import Finalised, FinalRecord, NewTurn, Segment, TurnView


class TurnStore(Protocol):
    """Storage of turns. A request is carried out completely even if its caller is cancelled."""

    async def begin(self, turn: NewTurn) -> None:
        """Insert the turn as `in_progress`; raises `StoreUnavailable`, `ConversationBusy`."""

    async def checkpoint(self, segments: Sequence[Segment]) -> frozenset[str]:
        """Append segments, each only while its owner still owns its turn and it is not final.

        Returns the ids of the turns that were fenced off; raises `StoreUnavailable`.
        """

    async def finalise(self, record: FinalRecord) -> Finalised:
        """Write the terminal record in one transaction, if the turn is not terminal yet.

        Inserts the turn too if `begin` was never written. Raises `StoreUnavailable`.
        """

    async def orphans(self) -> Sequence[TurnView]:
        """Return the turns in progress whose owner is gone; raises `StoreUnavailable`."""

    async def segments(self, turn_id: str) -> Sequence[Segment]:
        """Return the stored segments of a turn in order; raises `StoreUnavailable`."""


class RecordSpool(Protocol):
    """Local storage that takes final records while the database cannot."""

    async def append(self, record: FinalRecord) -> None:
        """Keep the record, fsynced, to be finalised later. Raises `SpoolFailed`."""

    async def adopt(self) -> int:
        """Finalise the records that dead processes left and return their number.

        Raises `StoreUnavailable`.
        """


class EventBus(Protocol):
    """The way of lifecycle events from turns to metrics, logs and other subscribers."""

    def publish(self, event: LifecycleEvent) -> None:
        """Pass the event to the subscribers of its type. Never waits or raises."""


def ignore() -> None:
    """Do nothing about a sign of life."""


class AnswerStream(Protocol):
    """An open stream of chunks. The caller of `open` must call either `release` or `close` once."""

    @property
    def ignored(self) -> tuple[str, ...]:
        """Paths of the parts of the call that the request leaves out, as in `unsupported`."""

    async def receive(self) -> list[Chunk]:
        """Wait for the next chunks; return `[]` at the regular end of the stream.

        All chunks of one read come as one list. Raises `UpstreamFailure`; chunks decoded before
        the failure in the same read are returned first.
        """

    def release(self) -> None:
        """Finish a complete answer; keep its connection for another call if it can be reused."""

    def close(self) -> None:
        """Drop the answer; its socket is closed before this returns."""


class Provider(Protocol):
    """An upstream provider. A cancelled method leaves no connection open."""

    @property
    def name(self) -> str:
        """The provider's name in the configuration."""

    async def unsupported(self, call: ModelCall) -> tuple[str, ...]:
        """Return the paths of the parts of the call that the provider's format cannot express.

        For use before a call; after `open`, `AnswerStream.ignored` has them.
        """

    async def open(
        self, call: ModelCall, *, connect_s: float, alive: Callable[[], None] = ignore
    ) -> AnswerStream:
        """Send the call and wait for the response head. Raises `UpstreamFailure`.

        `connect_s` limits TCP and TLS set-up (`CONNECT_TIMEOUT`). The caller sets all other
        deadlines. `alive` is called whenever bytes arrive that make no chunk.
        """


class Estimator(Protocol):
    """An estimator of token counts that providers don't report (`actors.usage.estimator`)."""

    def estimate(self, model: str, text: str, deltas: int) -> int:
        """Return the estimated tokens of `text`, which arrived in this number of deltas."""

    def estimate_input(self, model: str, call: ModelCall) -> int:
        """Return the estimated tokens of the call's messages."""

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        """Learn from the provider's token count of an answer."""

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        """Learn from the provider's token count of a prompt."""
