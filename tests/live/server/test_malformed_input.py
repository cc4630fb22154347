"""Malformed HTTP and WebSocket input does not affect a concurrent stream or crash the server."""

from collections.abc import Awaitable, Callable

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest
import trio
from hyperframe.frame import PriorityFrame

from tests.support.live.server_app import GET, RawClient, RunningServer, serving
from web.server import ServerSettings

Attack = Callable[[RawClient], Awaitable[None]]
PSEUDO = [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"t")]
WEBSOCKET = (
    b"GET /ws HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

RAW = {
    "garbage": b"\x16\x03\x01\x02\x00\x01\xfc\x03\x03" * 50 + b"\r\n\r\n",
    "high_bytes_in_target": b"GET /\xff\xfe HTTP/1.1\r\nHost: t\r\n\r\n",
    "escaped_high_bytes": b"GET /%ff%fe?%ff HTTP/1.1\r\nHost: t\r\n\r\n",
    "bad_length": b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: abc\r\n\r\n",
    "two_lengths": b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
    b"Content-Length: 2\r\n\r\nab",
    "length_and_chunked": b"POST /length HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "bad_chunk": b"POST /length HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "huge_chunk": b"POST /length HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\n",
    "no_host": b"GET / HTTP/1.1\r\n\r\n",
    "connect": b"CONNECT t:80 HTTP/1.1\r\nHost: t\r\n\r\n",
    "absolute": b"GET http://[ HTTP/1.1\r\nHost: t\r\n\r\n",
    "odd_version": b"GET / HTTP/7.3\r\nHost: t\r\n\r\n",
    "header_bomb": b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X-Bomb: " + b"x" * 200_000,
    "many_headers": b"GET / HTTP/1.1\r\nHost: t\r\n" + b"A: b\r\n" * 40_000 + b"\r\n",
    "broken_h2c_upgrade": b"GET / HTTP/1.1\r\nHost: t\r\nUpgrade: h2c\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: !!\r\n\r\nPRI * garbage",
    "prior_knowledge_then_garbage": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 500,
    "websocket_without_key": WEBSOCKET.replace(b"Sec-WebSocket-Key", b"X-Key"),
    "websocket_too_early": WEBSOCKET + b"\x81\x80\x00\x00\x00\x00",
    "websocket_too_early_where_none_is": WEBSOCKET.replace(b"/ws", b"/no") + b"\x81\x80" * 9,
    "websocket_over_http10": WEBSOCKET.replace(b"HTTP/1.1", b"HTTP/1.0"),
    "upgrade_by_post": WEBSOCKET.replace(b"GET", b"POST"),
}
FRAMES = {
    "bad_utf8": (b"\x81\x82\x00\x00\x00\x00\xff\xfe", 1007),
    "unmasked": (b"\x81\x02hi", 1002),
    "reserved_bits": (b"\xf1\x80\x00\x00\x00\x00", 1002),
    "too_long": (b"\x82\xff" + (1 << 40).to_bytes(8, "big") + b"\x00" * 2_000_000, 1009),
}


class H2Client:
    """An HTTP/2 client that does not validate what it sends."""

    def __init__(self, client: RawClient) -> None:
        self.client = client
        self.connection = h2.connection.H2Connection(
            h2.config.H2Configuration(
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
                validate_inbound_headers=False,
            )
        )
        self.connection.initiate_connection()

    async def flush(self) -> None:
        await self.client.send(self.connection.data_to_send())

    def request(self, path: bytes, *, end: bool = True) -> int:
        stream_id = self.connection.get_next_available_stream_id()
        self.connection.send_headers(stream_id, [*PSEUDO, (b":path", path)], end_stream=end)
        return stream_id

    async def next_events(self) -> list[h2.events.Event]:
        data = await self.client.receive()
        return self.connection.receive_data(data) if data else [h2.events.ConnectionTerminated()]


async def high_bytes_in_h2_path(client: RawClient) -> None:
    """Crashes hypercorn's process with UnicodeDecodeError."""
    attacker = H2Client(client)
    attacker.request(b"/\xff\xfe")
    await attacker.flush()


async def data_after_an_early_answer(client: RawClient) -> None:
    """Crashes hypercorn's process with KeyError."""
    attacker = H2Client(client)
    stream_id = attacker.request(b"/nowhere", end=False)
    await attacker.flush()
    with trio.move_on_after(1):
        while not any(
            isinstance(event, h2.events.StreamEnded | h2.events.ConnectionTerminated)
            for event in await attacker.next_events()
        ):
            pass
    attacker.connection.send_data(stream_id, b"late" * 100)
    await attacker.flush()


async def connect_without_a_path(client: RawClient) -> None:
    """Crashes hypercorn's process with UnboundLocalError."""
    attacker = H2Client(client)
    attacker.connection.send_headers(1, [(b":method", b"CONNECT"), (b":authority", b"t")])
    await attacker.flush()


async def a_thousand_priorities(client: RawClient) -> None:
    """Crashes hypercorn's process with TooManyStreamsError."""
    attacker = H2Client(client)
    await attacker.flush()
    frames = [PriorityFrame(number, depends_on=0, stream_weight=1) for number in range(3, 2600, 2)]
    await client.send(b"".join(frame.serialize() for frame in frames))


async def many_resets(client: RawClient) -> None:
    """Send 1,200 requests and reset each immediately."""
    attacker = H2Client(client)
    for _ in range(1200):
        stream_id = attacker.request(b"/turn/silent")
        attacker.connection.reset_stream(stream_id)
    await attacker.flush()


async def a_broken_frame(client: RawClient) -> None:
    """Send a frame larger than the negotiated maximum."""
    attacker = H2Client(client)
    attacker.request(b"/")
    await attacker.flush()
    await client.send(b"\xff\xff\xff\x00\x00\x00\x00\x00\x01" + b"x" * 1000)


H2_ATTACKS: list[Attack] = [
    high_bytes_in_h2_path,
    data_after_an_early_answer,
    connect_without_a_path,
    a_thousand_priorities,
    many_resets,
    a_broken_frame,
]


def raw(name: str) -> Attack:
    """Return an attack that sends the raw bytes of this name."""

    async def attack(client: RawClient) -> None:
        await client.send(RAW[name])

    return attack


async def _assert_survives(served: RunningServer, attack: Attack) -> None:
    with trio.fail_after(10):
        async with served.client() as neighbour:
            await neighbour.send(GET % b"/stream?n=12")
            async with served.client() as client:
                await _run_attack(client, attack)
            assert b'{"a":1}' in await served.get()
            beside = await neighbour.read_until(b"\r\n0\r\n\r\n")
    assert [b"data: %d\n" % number in beside for number in range(12)] == [True] * 12
    assert served.server.counters.connections_crashed == 0


async def _run_attack(client: RawClient, attack: Attack) -> None:
    """Attack, then read the response for a moment as an ordinary client would."""
    try:
        await attack(client)
        with trio.move_on_after(0.1):
            await client.read_all()
    except OSError:
        return  # the server may disconnect the attacker while it is sending


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("name", RAW)
async def test_malformed_bytes_affect_only_their_connection(name: str, http2: bool) -> None:
    async with serving(ServerSettings(http2=http2)) as served:
        await _assert_survives(served, raw(name))


@pytest.mark.parametrize("name", FRAMES)
async def test_malformed_websocket_frames_get_the_right_close_code(name: str) -> None:
    frame, code = FRAMES[name]
    answers: list[bytes] = []

    async def attack(client: RawClient) -> None:
        await client.send(WEBSOCKET)
        await client.read_until(b"\r\n\r\n")
        await client.send(frame)
        with trio.move_on_after(1):
            answers.append(await client.read_until(code.to_bytes(2, "big")))

    async with serving(ServerSettings()) as served:
        await _assert_survives(served, attack)
    assert code.to_bytes(2, "big") in answers[0]


@pytest.mark.parametrize("http2", [False, True])
@pytest.mark.parametrize("attack", H2_ATTACKS, ids=lambda attack: attack.__name__)
async def test_malformed_http2_affects_only_its_connection(attack: Attack, http2: bool) -> None:
    async with serving(ServerSettings(http2=http2)) as served:
        await _assert_survives(served, attack)


async def test_bad_http2_stream_does_not_end_other_streams() -> None:
    async with serving(ServerSettings(http2=True)) as served, served.client() as client:
        attacker = H2Client(client)
        good = attacker.request(b"/stream?n=20")
        attacker.request(b"/\xff")
        attacker.connection.send_headers(
            attacker.connection.get_next_available_stream_id(),
            [(b":method", b"CONNECT"), (b":authority", b"t")],
        )
        await attacker.flush()
        body = b""
        ended = False
        with trio.fail_after(5):
            while not ended:
                for event in await attacker.next_events():
                    if isinstance(event, h2.events.DataReceived) and event.stream_id == good:
                        body += event.data
                    ended |= isinstance(event, h2.events.StreamEnded) and event.stream_id == good
    assert body.endswith(b"data: 19\n\n")


async def test_http2_gets_505_when_disabled() -> None:
    async with serving(ServerSettings()) as served, served.client() as client:
        with trio.fail_after(5):
            await client.send(
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
            )
            assert (await client.read_all()).startswith(b"HTTP/1.1 505 ")
