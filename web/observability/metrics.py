"""Prometheus metrics, the log lines of turns, and the measurement of the event loop's lag.

`docs/reference/metrics.md` lists every name; a test keeps the two in step.
"""

import collections
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from typing import get_args

import msgspec
import structlog
import trio
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from actors.routing.breaker import State
from actors.routing.route_board import RouteBoard
from actors.runtime.event_bus import LocalEventBus
from actors.turn import lifecycle_events as events
from actors.turn.model_call import Route
from actors.turn.outcome import Mode, Reason
from actors.turn.state import Turn
from store.store import StoreFigures
from web.observability.access_log import RequestContext
from web.server import Counters

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Bounds of the histograms' buckets in seconds."""

_SERVER_COUNTERS = {
    "connections": "Accepted connections.",
    "connections_refused": "Connections answered with 503 because limits.connections were open.",
    "connections_crashed": "Connections ended by an unexpected error in protocol code: a bug.",
    "malformed_inputs": "Connections closed because a protocol library failed on received data.",
    "requests_crashed": "Requests failed by an error outside the app's error handlers: a bug.",
    "write_stalls": "Connections closed after limits.write_stall_s without progress of a write.",
    "vanished_peers": "Connections closed because the client's machine stopped responding.",
    "slow_heads": "Connections closed because headers took longer than server.header_s.",
    "pipelining_overflows": "Connections closed for sending too much behind an open request.",
    "frame_limits_exceeded": "Connections closed for too large or too many frames.",
    "receptions_refused": "Bodies and messages refused because limits.receive_bytes was reached.",
}
"""Descriptions of the fields of `Counters`."""

EVERY_S = 0.5
"""Seconds between two measurements of the loop's lag."""


class Metrics:
    """All metrics of the process, in their own registry. Also counts and logs lifecycle events."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        counter = partial(Counter, registry=registry)
        seconds = partial(Histogram, buckets=_SECONDS, registry=registry)
        self._log = structlog.get_logger("trouper.turns")
        self._turns = counter("trouper_turns", "Ended turns.", ("status", "reason"))
        self._disconnects = counter(
            "trouper_disconnects",
            "Turns whose last client disconnected before the end.",
            ("stage",),
        )
        self._tokens = counter("trouper_tokens", "Charged tokens.", ("direction", "source"))
        self._first_token = seconds(
            "trouper_first_token_seconds", "Time from the request to the first content of a route."
        )
        self._finalise = seconds(
            "trouper_finalise_seconds",
            "Time from the end of the answer to the stored final record.",
        )
        self._abort = seconds(
            "trouper_abort_seconds",
            "Time from detecting a client's disconnect to the closed upstream call.",
        )
        self._records = counter(
            "trouper_final_records",
            "Final records by the place where they were stored.",
            ("stored",),
        )
        self._store_trouble = counter(
            "trouper_store_trouble", "Operations that the database or the spool refused."
        )
        self._bugs = counter("trouper_bugs", "Internal errors: bugs in Trouper.", ("kind",))
        self._verdicts = counter(
            "trouper_guard_verdicts",
            "Texts that a guard rewrote, rejected or blocked, by the guard.",
            ("guard", "verdict"),
        )
        self._guard_failures = counter(
            "trouper_guard_failures", "Turns in which a guard raised an error: a bug.", ("guard",)
        )
        self.loop_lag = Gauge(
            "trouper_loop_lag_seconds",
            "Delay of the event loop at the last measurement.",
            registry=registry,
        )

    def subscribe_to(self, bus: LocalEventBus) -> None:
        """Count and log the lifecycle events of turns."""
        bus.subscribe(events.TurnEnded, self.turn_ended)
        bus.subscribe(events.RecordUnsaved, self.record_unsaved)
        bus.subscribe(events.StoreRefusal, self.store_refusal)
        bus.subscribe(events.EventDropped, self.event_dropped)
        bus.subscribe(events.ActorCrashed, self.actor_crashed)
        bus.subscribe(events.GuardDecided, self.guard_decided)
        bus.subscribe(events.GuardFailed, self.guard_failed)

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus text format."""
        return generate_latest(self.registry)

    def watch(self, turns: Iterable[Turn], figures: Callable[[], StoreFigures]) -> None:
        """Export the live turns and the store's figures, read at each scrape."""
        self.registry.register(_AtScrape(partial(_live, turns, figures)))

    def watch_routes(self, board: RouteBoard, configured: Collection[Route]) -> None:
        """Export the breakers of the configured routes, read at each scrape."""
        self.registry.register(_AtScrape(partial(_routes, board, configured)))

    def watch_server(self, counters: Counters) -> None:
        """Export the HTTP server's counters, read at each scrape."""
        self.registry.register(_AtScrape(partial(_server, counters)))

    def turn_ended(self, event: events.TurnEnded) -> None:
        """Count an ended turn and log it in one line."""
        record = event.record
        self._turns.labels(record.status, record.reason).inc()
        self._records.labels(event.stored).inc()
        self._finalise.observe(event.took_s)
        if record.disconnect_stage is not None:
            self._disconnects.labels(record.disconnect_stage).inc()
        if record.first_token_at is not None:
            self._first_token.observe(max(0.0, record.first_token_at - record.turn.created_at))
        if record.usage is not None:
            source = "estimated" if record.usage.estimated else "provider"
            self._tokens.labels("input", source).inc(record.usage.input_tokens)
            self._tokens.labels("output", source).inc(record.usage.output_tokens)
        self._log.info(
            "turn ended",
            turn=record.turn.id,
            status=record.status,
            reason=record.reason,
            stage=record.disconnect_stage,
            model=record.turn.model,
            provider=record.provider,
            stored=event.stored,
            seconds=round(record.ended_at - record.turn.created_at, 3),
        )

    def request_over(self, request: RequestContext) -> None:
        """Measure how long the abort took, if the client ended an attached turn by leaving."""
        turn, left_at = request.turn, request.left_at
        if turn is None or left_at is None or turn.request.mode is not Mode.ATTACHED:
            return
        stopped = turn.cause is not None and turn.cause.reason is Reason.CLIENT_DISCONNECTED
        if stopped and turn.produced_at is not None and turn.produced_at >= left_at:
            self._abort.observe(turn.produced_at - left_at)

    def record_unsaved(self, event: events.RecordUnsaved) -> None:
        """Log the whole record: the log is the last place where it can be kept."""
        record = msgspec.json.encode(event.record).decode()
        self._log.error("final record not stored", record=record)

    def store_refusal(self, event: events.StoreRefusal) -> None:
        """Count and log an operation that the database or the spool refused."""
        self._store_trouble.inc()
        self._log.warning("store operation failed", turn=event.turn_id, error=str(event.error))

    def event_dropped(self, event: events.EventDropped) -> None:
        """Count and log an event that was dropped because it violates the event order."""
        self._bugs.labels("event_out_of_order").inc()
        self._log.error("out-of-order event dropped", turn=event.turn_id, error=str(event.error))

    def actor_crashed(self, event: events.ActorCrashed) -> None:
        """Count and log a bug in an actor, with its traceback."""
        self._bugs.labels("actor_crashed").inc()
        self._log.error("actor crashed", turn=event.turn_id, exc_info=event.error)

    def guard_decided(self, event: events.GuardDecided) -> None:
        """Count what a guard changed or refused."""
        if event.verdict.verdict != "failed":
            self._verdicts.labels(event.verdict.guard, event.verdict.verdict).inc()

    def guard_failed(self, event: events.GuardFailed) -> None:
        """Count and log a bug in a guard, without the error's text, which may quote the answer."""
        self._guard_failures.labels(event.guard).inc()
        self._log.error(
            "guard failed",
            turn=event.turn_id,
            guard=event.guard,
            error=event.error,
            where=event.where,
        )

    def input_checked(self, verdict: str, model: str, score: float, classes: Sequence[str]) -> None:
        """Count and log a request whose input was sanitised or refused."""
        self._verdicts.labels("input", verdict).inc()
        self._log.warning(
            "suspicious input", verdict=verdict, model=model, score=score, classes=list(classes)
        )

    def task_crashed(self, name: str, error: BaseException) -> None:
        """Count and log a bug in a service task, with its traceback; the task is restarted."""
        self._bugs.labels("task_crashed").inc()
        self._log.error("service task crashed", task=name, exc_info=error)


async def measure_loop_lag(metrics: Metrics) -> None:
    """Measure until cancelled. A service task."""
    while True:
        due = trio.current_time() + EVERY_S
        await trio.sleep_until(due)
        metrics.loop_lag.set(trio.current_time() - due)


class _AtScrape(Collector):
    """A collector of what a function yields at each scrape."""

    def __init__(self, collect: Callable[[], Iterator[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterator[Metric]:
        return self._collect()


def _server(counters: Counters) -> Iterator[Metric]:
    yield GaugeMetricFamily("trouper_connections_open", "Open connections.", counters.open)
    for name, help in _SERVER_COUNTERS.items():
        value: int = getattr(counters, name)
        yield CounterMetricFamily(f"trouper_{name}", help, value=value)


def _live(turns: Iterable[Turn], figures: Callable[[], StoreFigures]) -> Iterator[Metric]:
    stages = collections.Counter(turn.stage for turn in turns)
    live = GaugeMetricFamily("trouper_live_turns", "Live turns by stage.", labels=["stage"])
    for stage in ("queued", "waiting", "streaming", "finalising"):
        live.add_metric([stage], stages[stage])
    yield live
    now = figures()
    yield GaugeMetricFamily(
        "trouper_store_queue", "Store writes that are waiting for the database.", now.queued
    )
    yield GaugeMetricFamily(
        "trouper_spooled_records",
        "Final records in the spool, not yet in the database.",
        now.spooled_records,
    )
    yield GaugeMetricFamily("trouper_spool_bytes", "Bytes used by the spool.", now.spooled_bytes)


def _routes(board: RouteBoard, configured: Collection[Route]) -> Iterator[Metric]:
    """Yield breaker states of the configured routes.

    Other routes are left out: clients can name any, and Prometheus keeps each series.
    """
    family = GaugeMetricFamily(
        "trouper_route_state",
        "1 for the current state of the route's breaker, 0 for the others.",
        labels=["route", "state"],
    )
    for route in configured:
        now = board.status(route).breaker.state
        for state in get_args(State):
            family.add_metric([str(route), state], state == now)
    yield family
