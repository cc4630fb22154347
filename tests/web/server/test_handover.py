"""A server that hands over to another: every request is answered, and its connection closed."""

import h2.config
import h2.connection
import h2.events
import pytest
import trio
from trio.testing import MockClock

from tests.web.server.test_connection import GET, SETTINGS, Peer, connected
from web.server import ServerSettings

IDLE_S = 1.0
LAST = 2**31 - 1


async def test_idle_connection_closes_after_the_handover_delay(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await trio.sleep(5)
        peer.server.leave(IDLE_S)
        await peer.server.wait_closed()
        assert trio.current_time() == pytest.approx(5 + IDLE_S)


async def test_request_within_the_handover_delay_is_answered(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await trio.sleep(5)
        peer.server.leave(IDLE_S)
        await trio.sleep(IDLE_S * 0.9)
        await peer.ask(GET % b"/")
        answer = await peer.read_all()
        assert b"HTTP/1.1 200" in answer
        assert b"connection: close" in answer.lower()


async def test_connection_with_a_running_response_serves_one_more(
    autojump_clock: MockClock,
) -> None:
    """Its head did not announce a close, so the client may reuse the connection."""
    async with connected() as peer:
        await peer.ask(GET % b"/parts?n=5")
        head = await peer.read_until(b"part 0;")
        peer.server.leave(IDLE_S)
        assert b"connection: close" not in head.lower()
        await peer.read_until(b"0\r\n\r\n")
        await trio.sleep(IDLE_S / 2)
        await peer.ask(GET % b"/")
        answer = await peer.read_all()
        assert b"whole" in answer
        assert b"connection: close" in answer.lower()


async def test_late_connection_is_served(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        peer.server.leave(IDLE_S)
        await peer.ask(GET % b"/")
        assert b"connection: close" in (await peer.read_all()).lower()


async def test_drain_after_leave_does_not_wait(autojump_clock: MockClock) -> None:
    async with connected() as peer:
        await trio.sleep(5)
        peer.server.leave(IDLE_S)
        await peer.server.drain(10)
        assert trio.current_time() == pytest.approx(5)


class H2Peer:
    """An HTTP/2 client with prior knowledge."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="ascii"))
        self._h2.initiate_connection()
        self.goaways: list[int] = []

    async def ask(self, path: str) -> int:
        stream_id = self._h2.get_next_available_stream_id()
        pseudo = {":method": "GET", ":scheme": "http", ":authority": "t", ":path": path}
        self._h2.send_headers(stream_id, list(pseudo.items()), end_stream=True)
        await self._peer.ask(self._h2.data_to_send())
        return stream_id

    async def until_ended(self, stream_id: int | None) -> bytes:
        """Read to the end of the stream, or of the connection."""
        got = b""
        while data := bytes(await self._peer.stream.receive_some()):
            for frame in _goaways(data):
                self.goaways.append(frame)
            for event in self._h2.receive_data(_without_goaways(data)):
                if isinstance(event, h2.events.DataReceived):
                    got += event.data
                if isinstance(event, h2.events.StreamEnded) and event.stream_id == stream_id:
                    return got
        return got


def _frames(data: bytes) -> list[bytes]:
    """Split data into frames; the server always writes whole frames."""
    found = []
    while data:
        size = 9 + int.from_bytes(data[:3])
        found.append(data[:size])
        data = data[size:]
    return found


def _goaways(data: bytes) -> list[int]:
    return [int.from_bytes(frame[9:13]) for frame in _frames(data) if frame[3] == 7]


def _without_goaways(data: bytes) -> bytes:
    """Remove GOAWAY frames, after which h2 would refuse to open a stream.

    A client that has not read them yet may still open one.
    """
    return b"".join(frame for frame in _frames(data) if frame[3] != 7)


async def test_http2_requests_after_the_first_goaway_are_answered(
    autojump_clock: MockClock,
) -> None:
    settings = ServerSettings(http2=True, keep_alive_s=SETTINGS.keep_alive_s)
    async with connected(settings) as peer:
        client = H2Peer(peer)
        first = await client.ask("/parts?n=5")
        await trio.sleep(2.5)
        peer.server.leave(IDLE_S)
        assert b"part 4;" in await client.until_ended(first)
        assert client.goaways == [LAST]
        await trio.sleep(IDLE_S / 2)
        late = await client.ask("/")
        assert await client.until_ended(late) == b"whole"
        began = trio.current_time()
        await client.until_ended(None)
        assert client.goaways == [LAST, late]
        assert trio.current_time() - began == pytest.approx(IDLE_S)
