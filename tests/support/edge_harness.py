"""Harness for tests of the HTTP surfaces: the whole application, run in memory.

Providers are scripted, the store is in memory and time is virtual.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import cast

import httpx
import trio
from werkzeug.datastructures import Headers

from actors.journal.heartbeat import HeartbeatTimer
from actors.providers.embedding_provider import Embedder
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Mode
from actors.turn_registry import Registry
from store.records.turn_records import Principal, TurnPage, TurnView
from store.store import Store, StoreFigures
from tests.support.asgi_client import App, StreamingTransport, streaming_client
from tests.support.memory_conversation_store import MemoryConversations
from tests.support.memory_response_store import ItemStore
from tests.support.memory_response_store import ended_turn_view as ended_turn_view
from tests.support.turn_fakes import FOREVER, Line, ScriptedProvider, TurnHarness, now, text
from web.app import create_app
from web.config import Config
from web.observability.metrics import Metrics
from web.providers.factory import models_by_route
from web.registry import guards
from web.service import LOCAL_USER, Service
from web.turns.planner import Planner


class WebStore(ItemStore):
    """An in-memory store with the queries that the routes use."""

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[str, TurnView] = {}
        """Rows of turns that have no final record here, by turn id."""
        self.last_query: dict[str, object] = {}
        """Arguments of the last `list_turns` call."""

    async def get_turn(self, principal: Principal, turn_id: str) -> TurnView | None:
        await trio.lowlevel.checkpoint()
        views = self.views | {record.turn.id: ended_turn_view(record) for record in self.finals}
        found = views.get(turn_id)
        return found if found is not None and found.tenant_id == principal.tenant_id else None

    async def list_turns(
        self,
        principal: Principal,
        *,
        limit: int,
        status: str | None = None,
        cursor: str | None = None,
    ) -> TurnPage:
        await trio.lowlevel.checkpoint()
        self.last_query = {"limit": limit, "status": status, "cursor": cursor}
        found = [ended_turn_view(record) for record in reversed(self.finals)]
        found = [turn for turn in found if turn.tenant_id == principal.tenant_id]
        found = [turn for turn in found if status in (None, turn.status)]
        found = [turn for turn in found if cursor is None or turn.id < cursor]
        page = tuple(found[:limit])
        return TurnPage(data=page, next=page[-1].id if len(found) > limit else None)

    async def probe(self) -> None:
        await self.checkpoint([])

    @property
    def figures(self) -> StoreFigures:
        return StoreFigures(queued=0, spooled_records=len(self.spooled), spooled_bytes=0)


@dataclass(frozen=True)
class ComposedStore:
    """The parts of `store.store.Store` that the server uses, in memory."""

    turns: WebStore
    spool: WebStore
    database: WebStore
    conversations: MemoryConversations


def composed(store: WebStore) -> Store:
    """Return a store whose parts are all this one."""
    return cast("Store", ComposedStore(store, store, store, MemoryConversations()))


class EdgeHarness:
    """The running application with its client, registry, service and store."""

    def __init__(
        self,
        turns: TurnHarness,
        service: Service,
        client: httpx.AsyncClient,
        app: StreamingTransport,
    ) -> None:
        self.turns = turns
        self.registry = service.registry
        self.service = service
        self.client = client
        self.get = client.get
        self.post = client.post
        self.app = app

    @property
    def store(self) -> WebStore:
        store = self.turns.store
        assert isinstance(store, WebStore)
        return store

    async def chat(self, **changes: object) -> httpx.Response:
        """Request a chat completion and read the response to its end."""
        return await self.post("/v1/chat/completions", json=chat_body(**changes))

    async def stream_chat(self, **changes: object) -> bytes:
        """Stream a chat completion and return all its bytes."""
        response = await self.chat(stream=True, **changes)
        assert response.status_code == 200, response.text
        return response.content

    async def chunk_times(self, path: str, body: dict[str, object]) -> list[float]:
        """Return the virtual times at which the chunks of a stream arrived."""
        async with self.client.stream("POST", path, json=body) as response:
            return [trio.current_time() async for _ in response.aiter_raw()]


TENANT_HEADER = "x-test-tenant"


def tenant_in_header(headers: Headers) -> Principal:
    """Return a caller of the tenant that a test names in a header."""
    return Principal(tenant_id=headers.get(TENANT_HEADER, LOCAL_USER.tenant_id))


PARTIAL_ANSWERS: list[tuple[list[Line], int]] = [
    ([text("a"), UpstreamFailure(FailureKind.IN_STREAM_ERROR, "overloaded")], 502),
    ([text("a"), UpstreamFailure(FailureKind.TRUNCATED, "cut")], 502),
    ([text("a"), FOREVER], 504),
    ([text("a")], 502),
]
"""Answers that fail after their first text, each with the status for a non-streaming client."""


def chat_body(**changes: object) -> dict[str, object]:
    """Return the body of a chat request."""
    return {"model": "large", "messages": [{"role": "user", "content": "Hi"}]} | changes


@asynccontextmanager
async def open_harness(
    *providers: ScriptedProvider,
    mode: Mode = Mode.ATTACHED,
    embedders: Sequence[Embedder] = (),
    **sections: dict[str, object],
) -> AsyncIterator[EdgeHarness]:
    """Run the application with a model `large` that these providers answer, in order.

    `embedders` make embeddings under the names of their providers.
    """
    store = WebStore()
    turns = TurnHarness(*providers, store=store, guards=list(guards().values()))
    config = _config([provider.name for provider in providers], mode, sections)
    metrics = Metrics()
    numbers = count(1)
    async with trio.open_nursery() as nursery:
        registry = Registry(
            nursery,
            turns.dependencies,
            owner="owner_1",
            max_turns=config.limits.concurrent_turns,
            new_id=lambda: f"turn_{next(numbers)}",
        )
        metrics.watch(registry, lambda: store.figures)
        nursery.start_soon(HeartbeatTimer(registry, config.turns.heartbeat_s).run)
        board = turns.board
        metrics.watch_routes(board, models_by_route(config))
        planner = Planner(config)
        service = Service(
            config,
            composed(store),
            registry,
            planner,
            metrics,
            now,
            board,
            {embedder.name: embedder for embedder in embedders},
            turns.upstreams.estimates,
            principal_of=tenant_in_header,
        )
        async with streaming_client(cast("App", create_app(service))) as (client, app):
            client.timeout = httpx.Timeout(None)
            yield EdgeHarness(turns, service, client, app)
        nursery.cancel_scope.cancel()


def _config(names: Sequence[str], mode: Mode, sections: dict[str, dict[str, object]]) -> Config:
    turns = {"mode": mode, "resume_window_s": 30, **sections.pop("turns", {})}
    timeouts = {"first_byte_s": 20, "first_token_s": 20, "idle_s": 20, "total_s": 600}
    routes = [f"{name}/{name}-model" for name in names] or ["main/main-model"]
    return Config.model_validate(
        {
            "providers": {name: {"format": "simulated"} for name in names or ["main"]},
            "models": {"large": {"routes": routes}},
            "timeouts": timeouts,
            "turns": turns,
            **sections,
        }
    )


brief_pause = partial(trio.sleep, 0.001)
"""Let everything run that is due now, and nothing later."""
