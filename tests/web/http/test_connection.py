"""The scope of a request: its end, the resources released then, and the errors that survive."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

import httpx
import pytest
import trio
from quart import Response, request
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from tests.support.asgi_client import (
    App,
    Receive,
    StreamingTransport,
    streaming_client,
    use_fixed_client,
)
from tests.support.receive_budgets import wide_budget
from web.http.body import BoundedBody
from web.http.connection import request_context_of, request_stack
from web.http.quart_app import TrouperApp
from web.server.receive_queue import RECEIVE_QUEUE, ReceiveQueue


@dataclass
class Lease:
    """A resource of a handler; records each release, and if it was cancelled."""

    releases: list[bool] = field(default_factory=list)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        cancelled = False
        try:
            yield
        except trio.Cancelled:
            cancelled = True
            raise
        finally:
            with trio.move_on_after(5, shield=True):
                await trio.sleep(0.5)
            self.releases.append(cancelled)


class Boom(Exception):
    pass


async def _ticks(lease: Lease, how_it_ends: str) -> AsyncIterator[bytes]:
    yield b"one"
    await trio.sleep(1)
    if how_it_ends == "body_raises":
        raise Boom
    if how_it_ends == "silent":
        await trio.sleep_forever()
    yield b"two"
    assert lease.releases == []


def make_app(lease: Lease) -> TrouperApp:
    app = TrouperApp(__name__, max_body_bytes=1000, body_s=10, body_bytes_per_s=100)
    _add_turns(app, lease)
    _add_errors(app)
    _add_uploads(app)
    return app


def _add_turns(app: TrouperApp, lease: Lease) -> None:

    @app.get("/<how>")
    async def turn(how: str) -> Response:
        await request_stack(request).enter_async_context(lease.held())
        if how == "handler_raises":
            raise Boom
        if how == "stuck":
            await trio.sleep_forever()
        if how == "slow":
            await trio.sleep(2)
        return Response(_ticks(lease, how))


def _add_errors(app: TrouperApp) -> None:
    @app.get("/grouped")
    async def grouped() -> Response:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            try:
                await trio.sleep_forever()
            finally:
                raise Boom

    @app.errorhandler(LookupError)
    async def on_lookup(error: LookupError) -> tuple[str, int]:
        return "lookup", 418

    @app.get("/group_of_one")
    async def group_of_one() -> Response:
        raise ExceptionGroup("g", [ExceptionGroup("h", [LookupError()])])

    @app.get("/group_of_two")
    async def group_of_two() -> Response:
        raise ExceptionGroup("g", [LookupError(), Boom()])


def _add_uploads(app: TrouperApp) -> None:
    @app.post("/echo")
    async def echo() -> str:
        return str(len(await request.get_data()))

    @app.post("/parts")
    async def parts() -> str:
        return str([len(part) async for part in request.body])


async def _leave_after(
    client: httpx.AsyncClient, transport: StreamingTransport, path: str, seconds: float
) -> None:
    with trio.move_on_after(seconds):
        async with client.stream("GET", path) as response:
            async for _ in response.aiter_raw():
                pass
    await transport.exchanges[-1].done.wait()


async def test_stack_closes_once_after_the_body(autojump_clock: trio.testing.MockClock) -> None:
    lease = Lease()
    async with streaming_client(_asgi(make_app(lease))) as (client, transport):
        answer = await client.get("/whole")
        await transport.exchanges[0].done.wait()
    assert answer.content == b"onetwo"
    assert lease.releases == [False]
    assert transport.exchanges[0].error is None


@pytest.mark.parametrize(
    ("path", "seconds"), [("/stuck", 1.0), ("/slow", 1.0), ("/silent", 0.5), ("/silent", 5.0)]
)
async def test_disconnect_cancels_the_handler_once(
    autojump_clock: trio.testing.MockClock, path: str, seconds: float
) -> None:
    lease = Lease()
    async with streaming_client(_asgi(make_app(lease))) as (client, transport):
        began = trio.current_time()
        await _leave_after(client, transport, path, seconds)
        assert trio.current_time() - began == pytest.approx(seconds + 0.5)
    assert lease.releases == [True]
    assert transport.exchanges[0].error is None


async def test_disconnect_between_handler_and_body_cancels(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease()
    app = make_app(lease)
    queue = ReceiveQueue(wide_budget())
    sent_types: list[str] = []

    async def take(message: dict[str, object]) -> None:
        sent_types.append(str(message["type"]))
        await queue.put({"type": "http.disconnect"})
        await trio.sleep(1)

    async with streaming_client(_asgi(app)) as (client, _):
        scope = _request_scope(client, "/whole", queue)
        await queue.put({"type": "http.request", "body": b"", "more_body": False})
        await _asgi(app)(scope, cast("Receive", queue.get), take)
    assert sent_types == ["http.response.start"]
    assert lease.releases == [True]


async def test_handler_error_is_500_and_releases_the_lease(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease()
    async with streaming_client(_asgi(make_app(lease))) as (client, transport):
        answer = await client.get("/handler_raises")
        await transport.exchanges[0].done.wait()
    assert answer.status_code == 500
    assert lease.releases == [False]


async def test_body_error_aborts_the_response_and_reaches_the_server(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease()
    async with streaming_client(_asgi(make_app(lease))) as (client, transport):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/body_raises")
        error = transport.exchanges[0].error
    assert isinstance(error, Boom)
    assert lease.releases == [False]


async def test_error_raised_during_cancellation_is_kept(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with streaming_client(_asgi(make_app(Lease()))) as (client, transport):
        await _leave_after(client, transport, "/grouped", 1.0)
        error = transport.exchanges[0].error
    assert isinstance(error, ExceptionGroup)
    assert error.subgroup(Boom) is not None


async def test_error_handlers_unwrap_only_groups_of_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with streaming_client(_asgi(make_app(Lease()))) as (client, _):
        assert (await client.get("/group_of_one")).status_code == 418
        assert (await client.get("/group_of_two")).status_code == 500


async def test_completion_is_not_a_disconnect(autojump_clock: trio.testing.MockClock) -> None:
    after: list[float | None] = []
    app = TrouperApp(__name__)

    @app.get("/")
    async def index() -> str:
        life = request_context_of(request)

        async def late() -> None:
            await trio.sleep(3)
            after.append(life.left_at)

        life.stack.push_async_callback(late)
        return "whole"

    async with streaming_client(_asgi(app)) as (client, transport):
        assert (await client.get("/")).text == "whole"
        await transport.exchanges[0].done.wait()
    assert after == [None]


async def _post(app: TrouperApp, path: str, parts: list[tuple[float, bytes]]) -> tuple[int, bytes]:
    """POST a body in parts, each after a pause in seconds."""
    use_fixed_client(app)
    async with app.test_client().request(path, method="POST") as connection:
        for pause, part in parts:
            await trio.sleep(pause)
            await connection.send(part)
        if not parts or len(parts[-1][1]):
            await connection.send_complete()
        response = await connection.as_response()
    return response.status_code, bytes(await response.get_data(as_text=False))


@pytest.mark.parametrize("path", ["/echo", "/parts"])
async def test_oversized_body_without_length_is_413(
    autojump_clock: trio.testing.MockClock, path: str
) -> None:
    app = make_app(Lease())
    assert (await _post(app, path, [(0, b"x" * 600), (1, b"x" * 401)]))[0] == 413
    assert (await _post(app, path, [(0, b"x" * 600), (1, b"x" * 400)]))[0] == 200


@pytest.mark.parametrize("path", ["/echo", "/parts"])
async def test_dripping_body_is_408(autojump_clock: trio.testing.MockClock, path: str) -> None:
    app = make_app(Lease())
    began = trio.current_time()
    drips = [(3.0, b"x")] * 3 + [(3.0, b"")]
    assert (await _post(app, path, drips))[0] == 408
    assert trio.current_time() - began == pytest.approx(12)


async def test_body_at_the_minimum_rate_is_accepted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    app = make_app(Lease())
    assert (await _post(app, "/echo", [(1.8, b"x" * 90)] * 10))[0] == 200


async def test_rejected_body_raises_at_every_read() -> None:
    body = BoundedBody(None, 10)
    body.append(b"x" * 11)
    body.abort(RequestTimeout())
    for _ in range(2):
        with pytest.raises(RequestEntityTooLarge):
            await body
        with pytest.raises(RequestEntityTooLarge):
            await anext(body)


async def test_slow_body_error_wakes_a_waiting_reader(
    autojump_clock: trio.testing.MockClock,
) -> None:
    body = BoundedBody(None, None)
    async with trio.open_nursery() as nursery:

        async def read() -> None:
            with pytest.raises(RequestTimeout):
                await anext(body)

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        body.abort(RequestTimeout())


async def test_fixed_client_can_disconnect(
    autojump_clock: trio.testing.MockClock,
) -> None:
    lease = Lease()
    app = make_app(lease)
    use_fixed_client(app)
    async with app.test_client().request("/silent") as connection:
        await connection.send_complete()
        assert await connection.receive() == b"one"
        await connection.disconnect()
    assert lease.releases == [True]


def _asgi(app: TrouperApp) -> App:
    return app  # type: ignore[return-value]  # messages are TypedDicts there


def _request_scope(client: httpx.AsyncClient, path: str, queue: ReceiveQueue) -> dict[str, object]:
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.1"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"test")],
        "client": None,
        "server": None,
        "extensions": {RECEIVE_QUEUE: queue},
    }
