"""HTTP/2 on real sockets: streams end independently, with the right frame."""

import h2.events
import trio

from tests.live.server.test_malformed_input import H2Client
from tests.support.live.server_app import RunningServer, serving
from web.server import ServerSettings

SETTINGS = ServerSettings(http2=True)


async def _read_until_event(client: H2Client, kind: type[h2.events.Event], stream_id: int) -> bytes:
    """Return the stream's data up to an event of this kind."""
    got = b""
    while True:
        for event in await client.next_events():
            assert not isinstance(event, h2.events.ConnectionTerminated) or kind is type(event)
            if isinstance(event, h2.events.DataReceived):
                client.connection.acknowledge_received_data(
                    event.flow_controlled_length, event.stream_id
                )
                if event.stream_id == stream_id:
                    got += event.data
            if isinstance(event, kind) and getattr(event, "stream_id", stream_id) == stream_id:
                return got
        await client.flush()


async def _start_request(served: RunningServer, client: H2Client, path: bytes) -> int:
    stream_id = client.request(path)
    await client.flush()
    await served.app.started.receive()
    return stream_id


async def test_stream_reset_is_detected_promptly_and_affects_only_that_stream() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(5):
            first = await _start_request(served, client, b"/turn/silent")
            await _start_request(served, client, b"/turn/silent")
            began = trio.current_time()
            client.connection.reset_stream(first)
            await client.flush()
            noticed = await served.app.ended.receive() - began
            assert served.app.live == 1
    assert noticed < 0.1


async def test_closed_connection_ends_all_its_streams() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(5):
            for path in (b"/turn/silent", b"/turn/before_headers", b"/turn/streaming"):
                await _start_request(served, client, path)
            raw.disconnect("rst")
            for _ in range(3):
                await served.app.ended.receive()
        assert served.app.live == 0


async def test_goaway_lets_live_streams_finish() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(5):
            stream_id = client.request(b"/stream?n=20")
            await client.flush()
            await raw.send(b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + b"\x00" * 8)
            body = await _read_until_event(client, h2.events.StreamEnded, stream_id)
            assert body.endswith(b"data: 19\n\n")
            assert await raw.read_all() == b"", (
                "the server closes the connection after the last stream"
            )


async def test_draining_lets_live_streams_finish() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        left: list[int] = []
        with trio.fail_after(5):
            stream_id = client.request(b"/stream?n=20")
            await client.flush()
            await raw.receive()
            body = b""
            ended = goaway = False
            async with trio.open_nursery() as nursery:

                async def drain() -> None:
                    left.append(await served.server.drain(4))

                nursery.start_soon(drain)
                while not ended:
                    data = await raw.receive()
                    goaway |= b"\x07\x00\x00\x00\x00\x00" in data
                    body += data
                    ended = b"data: 19" in body
                raw.close()
        assert stream_id == 1
        assert goaway
        assert left == [0]


async def test_error_in_the_body_resets_only_its_stream() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(5):
            other = client.request(b"/stream?n=20")
            broken = await _start_request(served, client, b"/turn/broken")
            kinds: dict[int, list[str]] = {other: [], broken: []}
            while "StreamEnded" not in kinds[other]:
                for event in await client.next_events():
                    stream_id = getattr(event, "stream_id", None)
                    if stream_id in kinds:
                        kinds[stream_id].append(type(event).__name__)
        assert kinds[broken][-1] == "StreamReset"
        assert served.server.counters.requests_crashed == 1


async def test_client_without_flow_control_window_is_dropped_as_stalled() -> None:
    settings = ServerSettings(http2=True, write_stall_s=0.5)
    async with serving(settings) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(5):
            began = trio.current_time()
            await _start_request(served, client, b"/turn/flood")
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    while await raw.receive():
                        pass

                nursery.start_soon(read)
                freed = await served.app.ended.receive() - began
                nursery.cancel_scope.cancel()
    assert 0.4 < freed < 2


async def test_many_cancelled_streams_leave_nothing_behind() -> None:
    async with serving(SETTINGS) as served, served.client() as raw:
        client = H2Client(raw)
        with trio.fail_after(15):
            for number in range(300):
                stream_id = await _start_request(served, client, b"/turn/streaming")
                if number % 3:
                    await _read_until_event(client, h2.events.DataReceived, stream_id)
                client.connection.reset_stream(stream_id)
                await client.flush()
                await served.app.ended.receive()
            last = client.request(b"/stream?n=3")
            await client.flush()
            assert (await _read_until_event(client, h2.events.StreamEnded, last)).endswith(
                b"data: 2\n\n"
            )
        assert served.server.counters.connections_crashed == 0
