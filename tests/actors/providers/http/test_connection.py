"""Tests of TLS over a scripted connection with a hand-written peer."""

import ssl

import httpx
import pytest
import trio
import trio.testing
import trustme
from trio.testing import MockClock

from actors.providers.http.connection import TlsWire
from tests.support.scripted_connections import Line, MemoryWire


class TlsPeer(MemoryWire):
    """A connection whose peer answers the handshake and then encrypts the test's data."""

    def __init__(self, ca: trustme.CA) -> None:
        super().__init__()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("up").configure_cert(context)
        self._arrived, self._leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaving, server_side=True)
        self._hands_shaken = False
        self.heard = b""
        self.next_send_s = 0.0
        """Seconds that the next sends take."""

    async def send(self, data: bytes) -> None:
        pause_s, self.next_send_s = self.next_send_s, 0.0
        await trio.sleep(pause_s)
        await super().send(data)
        self._arrived.write(data)
        try:
            if not self._hands_shaken:
                self._tls.do_handshake()
                self._hands_shaken = True
            while True:
                self.heard += self._tls.read()
        except ssl.SSLWantReadError:
            pass
        if answer := self._leaving.read():
            self.script.append(answer)

    def record(self, text: bytes) -> bytes:
        """Return `text` as one TLS record."""
        self._tls.write(text)
        return self._leaving.read()

    def close_notify(self) -> bytes:
        """Return the alert that ends the stream in good order."""
        with pytest.raises(ssl.SSLWantReadError):
            self._tls.unwrap()
        return self._leaving.read()


async def connected() -> tuple[TlsWire, TlsPeer]:
    ca = trustme.CA()
    context = ssl.create_default_context()
    ca.configure_trust(context)
    peer = TlsPeer(ca)
    wire = TlsWire(peer, context, "up")
    await wire.handshake()
    return wire, peer


async def test_records_received_together_are_one_piece() -> None:
    wire, peer = await connected()
    peer.script.append(peer.record(b"a" * 16384) + peer.record(b"b") + peer.record(b"c"))
    assert await wire.receive() == b"a" * 16384 + b"bc"


async def test_records_cut_anywhere() -> None:
    wire, peer = await connected()
    records = peer.record(b"abc") + peer.record(b"def")
    received = b""
    peer.script += [records[at : at + 1] for at in range(len(records))]
    while len(received) < 6:
        received += await wire.receive()
    assert received == b"abcdef"


async def test_receive_nowait_returns_buffered_data() -> None:
    wire, peer = await connected()
    assert wire.receive_nowait() is None  # session tickets carry no data
    record = peer.record(b"abc")
    peer.script += [record[:5], record[5:]]
    assert wire.receive_nowait() == b"abc"
    assert wire.receive_nowait() is None
    peer.script.append(b"")
    assert wire.receive_nowait() == b""


async def test_large_send_is_encrypted_in_parts() -> None:
    wire, peer = await connected()
    text = bytes(range(256)) * 4000
    await wire.send(text)
    assert peer.heard == text


async def test_concurrent_encryption_keeps_record_order(autojump_clock: MockClock) -> None:
    """A reader may have to send something, such as a key update, while a writer is active."""
    wire, peer = await connected()
    peer.next_send_s = 1.0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.send, b"first ")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wire.send, b"second")
    assert peer.heard == b"first second"


@pytest.mark.parametrize("close_notify", [False, True])
async def test_end_with_and_without_close_notify(close_notify: bool) -> None:
    wire, peer = await connected()
    peer.script.append(peer.record(b"abc") + (peer.close_notify() if close_notify else b""))
    if not close_notify:
        peer.script.append(b"")
    assert await wire.receive() == b"abc"
    assert await wire.receive() == b""
    assert wire.receive_nowait() == b""


async def test_a_forged_record_is_an_end_after_what_came_before() -> None:
    wire, peer = await connected()
    forged = peer.record(b"abc"), bytearray(peer.record(b"def"))
    forged[1][-1] ^= 1
    peer.script.append(forged[0] + bytes(forged[1]))
    assert await wire.receive() == b"abc"
    assert await wire.receive() == b""
    wire, peer = await connected()
    alone = bytearray(peer.record(b"abc"))
    alone[-1] ^= 1
    peer.script.append(bytes(alone))
    with pytest.raises(httpx.ReadError, match=r"^TLS: "):
        await wire.receive()


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x03"])
async def test_handshake_with_a_peer_without_tls_fails(answer: bytes) -> None:
    script: list[Line] = [answer, b""]
    wire = TlsWire(MemoryWire(*script), ssl.create_default_context(), "up")
    with pytest.raises(httpx.ConnectError, match=r"^TLS: "):
        await wire.handshake()
