"""Pins the sources of h11, hypercorn, Quart and Quart-Trio that our subclasses override.

When one of these tests fails, read the new source, check that our subclass is still correct, and
write the new digest here.
"""

import hashlib
import inspect
from collections.abc import Callable
from importlib.metadata import version

import pytest
import quart.app
import quart.asgi
import quart_trio.app
import quart_trio.asgi
import quart_trio.wrappers.request
from h11._receivebuffer import ReceiveBuffer
from hypercorn.protocol.h2 import H2Protocol, StreamBuffer
from hypercorn.protocol.h11 import H11Protocol, H11WSConnection
from hypercorn.protocol.http_stream import HTTPStream
from hypercorn.protocol.ws_stream import WebsocketBuffer, WSStream

VERSIONS = {"h11": "0.16.0", "hypercorn": "0.18.0", "quart": "0.22.0", "quart-trio": "0.12.0"}

SOURCES: dict[Callable[..., object], str] = {
    ReceiveBuffer: "108c4355eb3b",
    H11Protocol.__init__: "c7c989fd6a35",
    H11Protocol.handle: "3b56e0674474",
    H11Protocol.stream_send: "56a36254a368",
    H11Protocol._handle_events: "bd4a76b2837e",
    H11Protocol._create_stream: "a2338a57ab34",
    H11Protocol._send_h11_event: "5e40283daa30",
    H11Protocol._send_error_response: "58c2b47ae295",
    H11Protocol._maybe_recycle: "3ac53f52bc4e",
    H11Protocol._close_stream: "378930655d7b",
    H11Protocol._check_protocol: "f95f6b38f43c",
    H11WSConnection: "33372cf68942",
    HTTPStream.__init__: "c51a65fea53d",
    HTTPStream.handle: "6ed2e34c5e70",
    HTTPStream.app_send: "c806044b9973",
    HTTPStream._send_closed: "9aaf2e1ac611",
    HTTPStream._send_error_response: "57f849b2813e",
    WSStream.__init__: "3534d3ebe8f7",
    WSStream.handle: "743209f49012",
    WSStream.app_send: "a6dd1160bfc4",
    WSStream._handle_events: "b90f3f595ff9",
    WSStream._send_wsproto_event: "3a4df3f0d2df",
    WSStream._send_pings: "4721ce45cbdf",
    WebsocketBuffer: "31c9b1345f30",
    H2Protocol.__init__: "d577a96e2eb6",
    H2Protocol.handle: "c67e89eb79af",
    H2Protocol.send_task: "3f55a5376640",
    H2Protocol._send_data: "a89ce4286f36",
    H2Protocol.stream_send: "d8fc824e2770",
    H2Protocol._handle_events: "3378aef0a234",
    H2Protocol._create_stream: "91eb123ddf24",
    H2Protocol._close_stream: "a29254979164",
    H2Protocol._priority_updated: "a02ffc3670a3",
    StreamBuffer: "bc347b7c7806",
    quart.asgi.ASGIHTTPConnection: "6065b18f7c6e",
    quart.asgi.ASGIWebsocketConnection: "13f96f7be857",
    quart.app.Quart.handle_user_exception: "1d1c0bed474b",
    quart.app.Quart.handle_exception: "fa67a28c5800",
    quart_trio.app.QuartTrio.handle_request: "663b07e762fa",
    quart_trio.app.QuartTrio.full_dispatch_request: "427aa8d97589",
    quart_trio.app.QuartTrio.handle_user_exception: "d141c540ee95",
    quart.app.Quart.handle_websocket_exception: "8f16fb187dab",
    quart_trio.app.QuartTrio.full_dispatch_websocket: "16c3322c59aa",
    quart_trio.app.QuartTrio.handle_websocket: "dee15ca0d847",
    quart_trio.asgi.TrioASGIHTTPConnection: "6393e71c2a51",
    quart_trio.asgi.TrioASGIWebsocketConnection: "a35afe442a69",
    quart_trio.wrappers.request.TrioBody: "506a2f8a6bab",
}


@pytest.mark.parametrize("name", VERSIONS)
def test_version_is_pinned(name: str) -> None:
    assert version(name) == VERSIONS[name]


@pytest.mark.parametrize("thing", SOURCES, ids=lambda thing: thing.__qualname__)
def test_overridden_source_is_unchanged(thing: Callable[..., object]) -> None:
    assert _digest(thing) == SOURCES[thing]


def _digest(thing: Callable[..., object]) -> str:
    source = inspect.getsource(thing)
    return hashlib.sha256(source.encode()).hexdigest()[:12]
