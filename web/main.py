"""Server process: builds the service, runs background tasks, serves, and shuts down in order."""

import gc
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import structlog
import trio

from actors.finalisation.finaliser import Finaliser
from actors.finalisation.recovery import recover
from actors.guard import Guards
from actors.guards.gate.chain import examine, make_checks
from actors.guards.input.scoring import score
from actors.guards.spec import GuardContext, GuardSpec
from actors.guards.wording.semantics import scores
from actors.journal.checkpointer import Checkpointer
from actors.journal.heartbeat import HeartbeatTimer
from actors.ports import EventBus
from actors.providers.embedding_provider import Embedder
from actors.run_turn import TurnDependencies
from actors.runtime.event_bus import LocalEventBus
from actors.streamer import Upstreams
from actors.turn.store_records import StoreUnavailable
from actors.turn_registry import Registry
from actors.usage.estimator import LearningEstimator
from store.records.ids import new_id
from store.store import Store, StoreRefused, StoreSettings, open_store
from store.turns.repository import TurnRepository
from web import registry
from web.app import create_app
from web.config import Config
from web.observability.metrics import Metrics, measure_loop_lag
from web.process.certificate_reload import reload_on_sighup, tls_context
from web.process.listeners import Inheritance, open_sockets, take_inheritance
from web.process.shutdown import Stop, drain
from web.process.startup import StartupRefused
from web.process.systemd import READY, STOPPING, notify
from web.process.task_restart import keep_running
from web.providers import factory
from web.providers.embedded_scores import EmbeddedScores
from web.server import HttpServer, ServerSettings
from web.service import Service
from web.supervisor.child import SupervisorLink
from web.turns.planner import Planner

SWEEP_EVERY_S = 300.0
RECOVER_EVERY_S = 20.0
_YOUNG = 5_000
"""Allocations between young collections. Python's default, 700, means several per request."""
_ALONE = Inheritance()

_log = structlog.get_logger("trouper.server")


def run(config: Config) -> int:
    """Serve until a stop is requested, then return the exit code. Raises `StartupRefused`."""
    inheritance = take_inheritance(os.environ, os.getpid())
    if inheritance.control is not None:
        structlog.contextvars.bind_contextvars(process=os.getpid())
    return trio.run(partial(serve, config, Stop(), inheritance))


async def serve(
    config: Config,
    stop: Stop,
    inheritance: Inheritance = _ALONE,
    *,
    task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED,
) -> int:
    """Serve until `stop` is requested, then drain. Report the URLs as the task's start value."""
    settings = server_settings(config)
    sockets = open_sockets(config.server.bind, inheritance.sockets, settings)
    async with open_service(config) as service, trio.open_nursery() as nursery:
        server = HttpServer(create_app(service), settings)
        service.metrics.watch_server(server.counters)
        await nursery.start(stop.watch_signals)
        await nursery.start(reload_on_sighup, config.server, server)
        urls = await nursery.start(server.serve, sockets)
        tune_gc()
        _log.info("server started", url=", ".join(urls), models=service.planner.names)
        task_status.started(urls)
        await report_ready(inheritance, stop, nursery)
        await stop.requested.wait()
        notify(STOPPING)
        await drain(stop, config.server, service.registry, server)
        nursery.cancel_scope.cancel()
    return 0


def server_settings(config: Config) -> ServerSettings:
    """Return the server's settings. Raises `StartupRefused`.

    Blocks, because it reads the certificate.
    """
    return ServerSettings(
        http2=config.server.http2,
        ssl_context=tls_context(config.server),
        keep_alive_s=config.server.keep_alive_s,
        header_s=config.server.header_s,
        write_stall_s=config.limits.write_stall_s,
        max_connections=config.limits.connections,
        websocket_message_bytes=config.limits.body_bytes,
        websocket_ping_s=config.turns.heartbeat_s,
        body_s=config.server.body_s,
        receive_bytes=config.limits.receive_bytes,
    )


def tune_gc() -> None:
    """Exclude all existing objects from garbage collection; call once, at the end of startup.

    Without this a full collection scans every imported module, which takes tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 20, 50)


async def report_ready(inheritance: Inheritance, stop: Stop, nursery: trio.Nursery) -> None:
    """Report readiness to systemd or to the supervisor, and start obeying the supervisor."""
    if inheritance.control is None:
        notify(READY)
        return
    supervisor = SupervisorLink(inheritance.control)
    await supervisor.report_ready()
    nursery.start_soon(supervisor.obey, stop)


@asynccontextmanager
async def open_service(config: Config) -> AsyncIterator[Service]:
    """Open everything but the listener: store, providers, registry and background tasks."""
    rings = factory.key_rings(config)
    async with (
        opened_store(config) as store,
        factory.open_providers(config, rings) as providers,
        trio.open_nursery() as nursery,
    ):
        board = factory.make_board(config, rings, trio.current_time)
        upstreams = Upstreams(providers, board, LearningEstimator(), time.time, random.random)
        metrics = Metrics()
        bus = LocalEventBus()
        metrics.subscribe_to(bus)
        embedders = factory.embedders_among(config, providers)
        guards = make_guards(config, embedders)
        dependencies = make_dependencies(config, store, upstreams, bus, guards)
        turns = Registry(
            nursery,
            dependencies,
            owner=store.ownership.id,
            max_turns=config.limits.concurrent_turns,
            new_id=partial(new_id, "turn_"),
        )
        metrics.watch(turns, lambda: store.figures)
        metrics.watch_routes(board, factory.models_by_route(config))
        service = Service(
            config,
            store,
            turns,
            Planner(config),
            metrics,
            time.time,
            board,
            embedders,
            upstreams.estimates,
        )
        for name, task in service_tasks(service, dependencies).items():
            nursery.start_soon(keep_running, name, task, metrics, name=name)
        yield service
        nursery.cancel_scope.cancel()


def make_dependencies(
    config: Config, store: Store, upstreams: Upstreams, bus: EventBus, guards: Guards
) -> TurnDependencies:
    """Return the dependencies of turns."""
    journal = config.journal
    checkpointer = Checkpointer(
        store.turns, flush_s=journal.flush_ms / 1000, flush_bytes=journal.flush_bytes
    )
    finaliser = Finaliser(
        store.turns, store.spool, bus, time.time, finalise_timeout_s=config.turns.finalise_timeout_s
    )
    return TurnDependencies(
        store=store.turns,
        upstreams=upstreams,
        checkpointer=checkpointer,
        finaliser=finaliser,
        bus=bus,
        now=time.time,
        guards=guards,
    )


def make_guards(config: Config, embedders: Mapping[str, Embedder]) -> Guards:
    """Return the guards that turns can have. Raises `StartupRefused`."""
    route, secret = config.guards.semantics, config.guards.boundary_secret
    embedded = None
    if route is not None:
        if route.provider not in embedders:
            raise StartupRefused(f"guards.semantics: {route.provider!r} provides no embeddings")
        embedded = EmbeddedScores(embedders[route.provider], route).scores
    guards = registry.guards()
    warm_up(config, guards)
    return Guards(
        guards,
        scores,
        embedded,
        secret.value.get_secret_value().encode() if secret and secret.value else b"",
    )


def warm_up(config: Config, guards: Mapping[str, GuardSpec]) -> None:
    """Compile the patterns of the guards in use, which would delay the first turn."""
    plans = [config.guards_of(model) for model in (None, *config.models.values())]
    if any(plan.check_input for plan in plans):
        score("A text.")
    names = {name for plan in plans for name in plan.guards}
    checks = make_checks(sorted(names), guards, GuardContext(system="A prompt."), ignore_failure)
    examine(checks.all, "A text.", scores)


def ignore_failure(guard: GuardSpec, error: Exception) -> None:
    """Ignore the failure of a guard: it will be reported for the turns that have the guard."""


def service_tasks(
    service: Service, dependencies: TurnDependencies
) -> dict[str, Callable[[], Awaitable[None]]]:
    """Return the background tasks of the service by name; each is restarted if it crashes."""
    config, store, turns = service.config, service.store, service.registry
    unsaved = dependencies.finaliser.unsaved
    return {
        "checkpointer": dependencies.checkpointer.run,
        "heartbeat": HeartbeatTimer(turns, config.turns.heartbeat_s).run,
        "spool": partial(store.spool.keep_replaying, partial(turns.settled, "spooled")),
        "unsaved": partial(unsaved.run, partial(turns.settled, "unsaved")),
        "recovery": partial(keep_recovering, store, service.planner),
        "sweep": partial(keep_sweeping, store.turns, config.journal.retention_s),
        "loop lag": partial(measure_loop_lag, service.metrics),
    }


@asynccontextmanager
async def opened_store(config: Config) -> AsyncIterator[Store]:
    """Open the configured store and recover lost turns. Raises `StartupRefused`."""
    try:
        async with open_store(StoreSettings(**config.store.model_dump())) as store:
            await recover_turns(store, Planner(config))
            yield store
    except StoreRefused as error:
        raise StartupRefused(str(error)) from error


async def recover_turns(store: Store, planner: Planner) -> None:
    """Finalise turns that dead processes left unfinished. Raises `StartupRefused`."""
    try:
        await _recover(store, planner)
    except StoreUnavailable as error:
        raise StartupRefused(
            f"the turns of a dead process cannot be finalised: {error}; restart when the store is"
            " available"
        ) from error


async def keep_recovering(store: Store, planner: Planner) -> None:
    """Finalise turns of other processes that died while using the database. A service task."""
    while True:
        await trio.sleep(RECOVER_EVERY_S)
        try:
            await _recover(store, planner)
        except StoreUnavailable as error:
            _log.warning("recovery postponed", error=str(error))


async def _recover(store: Store, planner: Planner) -> None:
    lost = await recover(store.turns, store.spool, time.time, planner.price_of)
    if lost:
        _log.warning("turns recovered", turns=lost)


async def keep_sweeping(turns: TurnRepository, retention_s: float) -> None:
    """Delete journals past their retention. A service task."""
    while True:
        try:
            await turns.sweep(retention_s)
        except StoreUnavailable as error:
            _log.warning("journal sweep postponed", error=str(error))
        await trio.sleep(SWEEP_EVERY_S)
