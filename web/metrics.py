"""What Prometheus is told, and what of turns goes to the log.

`docs/reference/metrics.md` lists every name; a test holds the two together.
"""

from collections import Counter as Tally
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import get_args

import msgspec
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from actors.order import OutOfOrder
from actors.outcome import Mode, Reason
from actors.ports import FinalRecord, Stored
from actors.providers.base import Route
from actors.routing.board import RouteBoard
from actors.routing.breaker import State
from actors.turn import Turn
from store.store import StoreFigures
from web.access_log import RequestRecord
from web.server import Counters

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


class Metrics:
    """Every metric of the process, in a registry of its own; the observer of all turns."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        self._log = structlog.get_logger("trouper.turns")
        self._turns = Counter(
            "trouper_turns", "Turns ended.", ("status", "reason"), registry=registry
        )
        self._disconnects = Counter(
            "trouper_disconnects",
            "Turns whose last client left before their end.",
            ("stage",),
            registry=registry,
        )
        self._tokens = Counter(
            "trouper_tokens", "Tokens charged.", ("direction", "source"), registry=registry
        )
        self._first_token = Histogram(
            "trouper_first_token_seconds",
            "From the request to the first content of a route.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._finalise = Histogram(
            "trouper_finalise_seconds",
            "From the end of production to the kept final record.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._abort = Histogram(
            "trouper_abort_seconds",
            "From seeing a client leave to having closed upstream.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._records = Counter(
            "trouper_final_records",
            "Final records by where they came to rest.",
            ("stored",),
            registry=registry,
        )
        self._store_trouble = Counter(
            "trouper_store_trouble", "Refusals by the database or the spool.", registry=registry
        )
        self._bugs = Counter(
            "trouper_bugs", "Things that must not happen, and did.", ("kind",), registry=registry
        )
        self.loop_lag = Gauge(
            "trouper_loop_lag_seconds", "How late the event loop woke up last.", registry=registry
        )

    def exposition(self) -> bytes:
        """The text that a scrape gets."""
        return generate_latest(self.registry)

    def watch(self, turns: Iterable[Turn], figures: Callable[[], StoreFigures]) -> None:
        """Read these at each scrape."""
        self.registry.register(_Live(turns, figures))

    def watch_routes(self, board: RouteBoard, configured: Collection[Route]) -> None:
        """Read the breakers at each scrape."""
        self.registry.register(_Routes(board, configured))

    def watch_server(self, counters: Counters) -> None:
        """Read the server's counters at each scrape."""
        self.registry.register(_Edge(counters))

    def turn_ended(self, turn: Turn, record: FinalRecord, stored: Stored, took_s: float) -> None:
        """Count a turn and log it in one line."""
        self._turns.labels(record.status, record.reason).inc()
        self._records.labels(stored).inc()
        self._finalise.observe(took_s)
        if record.disconnect_stage is not None:
            self._disconnects.labels(record.disconnect_stage).inc()
        if turn.first_token_at is not None:
            self._first_token.observe(max(0.0, turn.first_token_at - turn.created_at))
        if record.usage is not None:
            source = "estimated" if record.usage.estimated else "provider"
            self._tokens.labels("input", source).inc(record.usage.input_tokens)
            self._tokens.labels("output", source).inc(record.usage.output_tokens)
        self._log.info(
            "turn ended",
            turn=turn.id,
            status=record.status,
            reason=record.reason,
            stage=record.disconnect_stage,
            model=record.turn.model,
            provider=record.provider,
            stored=stored,
            seconds=round(record.ended_at - turn.created_at, 3),
        )

    def request_over(self, request: RequestRecord) -> None:
        """A request that started a turn is over; if its client ended both, by leaving, time it."""
        turn, left_at = request.turn, request.left_at
        if turn is None or left_at is None or turn.request.mode is not Mode.ATTACHED:
            return
        stopped = turn.cause is not None and turn.cause.reason is Reason.CLIENT_DISCONNECTED
        if stopped and turn.produced_at is not None and turn.produced_at >= left_at:
            self._abort.observe(turn.produced_at - left_at)

    def unsaved(self, record: FinalRecord) -> None:
        """The whole record, as the last place where it can be kept."""
        self._log.error("unsaved", record=msgspec.json.encode(record).decode())

    def store_trouble(self, turn_id: str, error: Exception) -> None:
        """A refusal of the store, in one line."""
        self._store_trouble.inc()
        self._log.warning("store trouble", turn=turn_id, error=str(error))

    def disorder(self, turn_id: str, error: OutOfOrder) -> None:
        """A dropped event."""
        self._bugs.labels("event_out_of_order").inc()
        self._log.error("event out of order", turn=turn_id, error=str(error))

    def crashed(self, turn_id: str, error: BaseException) -> None:
        """A bug in an actor, with its traceback."""
        self._bugs.labels("actor_crashed").inc()
        self._log.error("actor crashed", turn=turn_id, exc_info=error)

    def task_crashed(self, name: str, error: BaseException) -> None:
        """A bug in a service task, with its traceback; the supervisor starts it again."""
        self._bugs.labels("task_crashed").inc()
        self._log.error("service task crashed", task=name, exc_info=error)


class _Edge(Collector):
    def __init__(self, counters: Counters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        counted = self._counters
        yield _gauge("trouper_connections_open", "Connections that are open now.", counted.open)
        for name, help, value in (
            ("connections", "Connections accepted.", counted.accepted),
            ("connections_refused", "Answered 503: limits.connections.", counted.refused),
            ("connections_crashed", "Ended by a bug in the protocol.", counted.crashed),
            ("requests_crashed", "Cut by an error past the app.", counted.app_errors),
            ("write_stalls", "Cut: limits.write_stall_s without progress.", counted.write_stalls),
            ("vanished_peers", "Cut: the client's machine answered no more.", counted.vanished),
            ("slow_heads", "Cut: server.header_s.", counted.slow_heads),
            ("pipelining_overflows", "Cut: too much sent ahead.", counted.overflows),
        ):
            yield CounterMetricFamily(f"trouper_{name}", help, value=value)


class _Live(Collector):
    def __init__(self, turns: Iterable[Turn], figures: Callable[[], StoreFigures]) -> None:
        self._turns = turns
        self._figures = figures

    def collect(self) -> Iterator[GaugeMetricFamily]:
        stages = Tally(turn.stage for turn in self._turns)
        live = GaugeMetricFamily(
            "trouper_live_turns", "Turns that play now, by stage.", labels=["stage"]
        )
        for stage in ("queued", "waiting", "streaming", "finalising"):
            live.add_metric([stage], stages[stage])
        yield live
        figures = self._figures()
        yield _gauge("trouper_store_queue", "Writes that wait for their answer.", figures.queued)
        yield _gauge(
            "trouper_spooled_records",
            "Final records that are not in the database yet.",
            figures.spooled_records,
        )
        yield _gauge("trouper_spool_bytes", "Bytes of the spool in use.", figures.spooled_bytes)


class _Routes(Collector):
    """Those that are configured: clients name others as they please, and a series is for ever."""

    def __init__(self, board: RouteBoard, configured: Collection[Route]) -> None:
        self._board = board
        self._configured = configured

    def collect(self) -> Iterator[GaugeMetricFamily]:
        family = GaugeMetricFamily(
            "trouper_route_state",
            "1 for the state that a route's breaker is in.",
            labels=["route", "state"],
        )
        for route in self._configured:
            now = self._board.status(route).breaker.state
            for state in get_args(State):
                family.add_metric([str(route), state], state == now)
        yield family


def _gauge(name: str, help: str, value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help)
    family.add_metric([], value)
    return family
