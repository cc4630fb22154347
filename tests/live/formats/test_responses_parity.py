"""The simulated provider gives the same over Responses, by HTTP or WebSocket, as over chat."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
import trustme
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket

from actors.ports import Provider
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.providers.http.provider import HttpProvider, make_client
from actors.providers.responses_websocket import open_responses_ws
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import TextChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from tests.support.live.format_parity import TOOL
from tests.support.live.harness import Process, until
from tests.support.live.http_client import reports
from tests.support.provider_answers import receive_all
from tests.web.drill.witness.test_websocket import ANSWERS, FAULTS, UNSTARTED, summed

TOO_LONG: list[dict[str, object]] = [
    {"role": "user", "content": "Who? " * 30_000},
]
ABORT_S = 0.05


@asynccontextmanager
async def provider(way: str, upstream: Process) -> AsyncIterator[Provider]:
    """Open a provider that calls the simulated provider in this way."""
    url = f"http://127.0.0.1:{upstream.port}/v1"
    if way == "responses-ws":
        async with open_responses_ws("s", url, None) as over_socket:
            yield over_socket
        return
    format = OPENAI_CHAT if way == "chat" else OPENAI_RESPONSES
    async with make_client(url) as client:
        yield HttpProvider("s", url, None, client, format=format)


async def collect_answer(way: str, upstream: Process, call: ModelCall) -> tuple[object, ...]:
    """Return the summed-up answer, and its failure if any."""
    # The simulated provider counts transient faults per user, so each way needs its own.
    call = msgspec.structs.replace(call, parameters={**call.parameters, "user": way})
    with trio.fail_after(10):
        async with provider(way, upstream) as provider_in_use:
            chunks, failure = await receive_all(provider_in_use, call)
    if failure is None:
        return summed(chunks), None
    return summed(chunks), failure.kind, failure.status, failure.code


def make_call(settings: str, messages: list[dict[str, object]] | None = None) -> ModelCall:
    voice = f"sim:{settings}" if "delay" in settings else f"sim:first=0,delay=2ms,{settings}"
    provider_in_use = messages or [{"role": "user", "content": "Who is on stage?"}]
    return ModelCall(
        upstream_model=voice, messages=read_messages(provider_in_use), parameters={"tools": [TOOL]}
    )


@pytest.mark.parametrize("settings", [*ANSWERS, *FAULTS, "html", "html=502", "garbage"])
async def test_responses_give_the_same_answer_as_chat(upstream: Process, settings: str) -> None:
    call = make_call(settings)
    by_chat = await collect_answer("chat", upstream, call)
    assert await collect_answer("responses", upstream, call) == by_chat
    by_socket = await collect_answer("responses-ws", upstream, call)
    if settings in (*UNSTARTED, "html", "html=502", "garbage"):
        assert by_socket[1:] == (FailureKind.REFUSED, None, None)
    else:
        assert by_socket == by_chat


async def test_history_has_the_same_effect_as_in_chat(upstream: Process) -> None:
    function = {"name": "f", "arguments": '{"a":1}'}
    messages: list[dict[str, object]] = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": text} for text in ("Who", "?")]},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Nobody."},
    ]
    call = make_call("tool,delay=0", messages)
    by_chat = await collect_answer("chat", upstream, call)
    assert "The tool says: Nobody." in str(by_chat[0])
    assert await collect_answer("responses", upstream, call) == by_chat
    assert await collect_answer("responses-ws", upstream, call) == by_chat


@pytest.mark.parametrize("way", ["responses", "responses-ws"])
async def test_long_request_is_accepted(upstream: Process, way: str) -> None:
    call = make_call("tokens=3,delay=0", TOO_LONG)
    assert await collect_answer(way, upstream, call) == await collect_answer("chat", upstream, call)


@pytest.mark.parametrize("way", ["responses", "responses-ws"])
@pytest.mark.parametrize("model", ["sim:stall=2,delay=0", "sim:count,tokens=5000,delay=1ms"])
async def test_closed_answer_is_detected_at_once(upstream: Process, way: str, model: str) -> None:
    user = f"{way}/{model}"
    call = ModelCall(
        upstream_model=model,
        messages=read_messages([{"role": "user", "content": "?"}]),
        parameters={"user": user},
    )
    async with provider(way, upstream) as provider_in_use:
        answer = await provider_in_use.open(call, connect_s=5)
        while not any(isinstance(chunk, TextChunk) for chunk in await answer.receive()):
            pass
        left_at = time.monotonic()
        answer.close()

        async def closed() -> float | None:
            (report,) = await reports(upstream, user)
            found = report["closed_at"]
            return found if isinstance(found, float) else None

        closed_at = await until(closed)
        assert closed_at is not None
        assert left_at <= closed_at < left_at + ABORT_S


async def serve_one_answer(request: WebSocketRequest) -> None:
    """Answer every WebSocket with the same response."""
    socket = await request.accept()
    try:
        await socket.get_message()
        await socket.send_message('{"type":"response.output_text.delta","delta":"Hi"}')
        await socket.send_message('{"type":"response.completed","response":{"output":[]}}')
        await socket.get_message()
    except ConnectionClosed:
        return


@pytest.mark.parametrize("trusted", [True, False])
async def test_websocket_over_tls_verifies_the_certificate(tmp_path: Path, trusted: bool) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    ca_file = tmp_path / "ca.pem"
    (authority if trusted else trustme.CA()).cert_pem.write_to_path(ca_file)
    call = ModelCall(upstream_model="m", messages=read_messages([]), parameters={})
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            served = await nursery.start(
                partial(serve_websocket, serve_one_answer, "127.0.0.1", 0, context)
            )
            url = f"https://localhost:{served.port}/v1"
            async with open_responses_ws("s", url, None, ca_file=str(ca_file)) as provider_in_use:
                if trusted:
                    answer = await provider_in_use.open(call, connect_s=5)
                    assert await answer.receive() == [TextChunk("Hi")]
                    answer.release()
                else:
                    with pytest.raises(
                        UpstreamFailure, match="certificate not accepted"
                    ) as failure:
                        await provider_in_use.open(call, connect_s=5)
                    assert failure.value.kind is FailureKind.REFUSED
            nursery.cancel_scope.cancel()
