"""Tests of the Responses WebSocket provider against trio-websocket's server in memory."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked
from trio_websocket import ConnectionClosed, WebSocketConnection

from actors.ports import AnswerStream
from actors.providers.formats.openai_responses.decoder import ResponsesDecoder
from actors.providers.responses_websocket import (
    MessageReader,
    ResponsesWsProvider,
    open_responses_ws,
)
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, SkippedChunk, TextChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Reason, Usage
from tests.support.decoder_feeds import drained as decoded
from tests.support.scripted_connections import credentials_of
from tests.support.websocket_memory import Peer, Server

URL = "http://up:8000/v1/"
CALL = ModelCall(
    upstream_model="m",
    messages=read_messages([{"role": "user", "content": "Hi"}]),
    parameters={"seed": 1},
)
Handler = Callable[[Peer], Awaitable[None]]


def event(type: str, **fields: Any) -> str:
    return json.dumps({"type": type, **fields})


CREATED = event("response.created", response={"status": "in_progress", "output": []})
HI = event("response.output_text.delta", output_index=0, content_index=0, delta="Hi")
USED = {"input_tokens": 1, "output_tokens": 2}
DONE = event("response.completed", response={"status": "completed", "output": [], "usage": USED})
ANSWER: list[Chunk] = [
    TextChunk("Hi"),
    UsageChunk(Usage(input_tokens=1, output_tokens=2)),
    FinishChunk(Reason.STOP),
]


class Setting:
    """A provider and the server that it connects to."""

    def __init__(self, provider: ResponsesWsProvider, server: Server) -> None:
        self.provider = provider
        self.server = server

    async def open(self) -> AnswerStream:
        return await self.provider.open(CALL, connect_s=5.0)

    async def assert_nothing_left(self) -> None:
        """Check that no connection is open now and that all tasks end."""
        assert self.server.open == 0
        await wait_all_tasks_blocked()
        assert not self.provider._nursery.child_tasks

    async def failure(self) -> UpstreamFailure:
        """Return the failure of opening, after checking that nothing is left open."""
        with pytest.raises(UpstreamFailure) as caught:
            await self.open()
        await self.assert_nothing_left()
        return caught.value


@asynccontextmanager
async def setting(
    handler: Handler, keys: tuple[str, ...] = ("topsecret",)
) -> AsyncIterator[Setting]:
    async with trio.open_nursery() as nursery:
        server = Server(nursery, handler)
        own = credentials_of(*keys) if keys else None
        opened = open_responses_ws("p", URL, own, connect=server.connect, now=lambda: 0.0)
        async with opened as provider:
            yield Setting(provider, server)
        assert server.open == 0
        nursery.cancel_scope.cancel()


def saying(*messages: str | bytes) -> Handler:
    """Return a handler that answers any request with these messages and then listens."""

    async def handle(peer: Peer) -> None:
        with suppress(ConnectionClosed):  # the client may leave at any time
            socket = await peer.accept()
            await socket.get_message()
            for message in messages:
                await socket.send_message(message)
            await socket.get_message()

    return handle


async def listen(socket: WebSocketConnection) -> None:
    """Read messages until the client has closed the socket."""
    with pytest.raises(ConnectionClosed):
        await socket.get_message()


async def drained(answer: AnswerStream) -> tuple[list[Chunk], UpstreamFailure | None]:
    chunks: list[Chunk] = []
    try:
        while batch := await answer.receive():
            chunks += batch
    except UpstreamFailure as failure:
        return chunks, failure
    return chunks, None


async def test_an_answer(autojump_clock: MockClock) -> None:
    async with setting(saying(CREATED, HI, DONE)) as stage:
        answer = await stage.open()
        assert await drained(answer) == (ANSWER, None)
        assert await answer.receive() == []
        answer.close()
        assert stage.server.open == 0
    assert stage.server.connects == [("up", 8000, False)]


async def test_request(autojump_clock: MockClock) -> None:
    heard: dict[str, Any] = {}

    async def handle(peer: Peer) -> None:
        request = await peer.request()
        heard["path"], heard["headers"] = request.path, dict(request.headers)
        socket = await request.accept()
        heard["message"] = json.loads(await socket.get_message())
        await socket.send_message(DONE)
        await listen(socket)

    async with setting(handler := handle) as stage:
        (await stage.open()).close()
        assert await stage.provider.unsupported(CALL) == ("seed",)
        assert stage.provider.name == "p"
    assert heard["path"] == "/v1/responses"
    assert heard["headers"][b"authorization"] == b"Bearer topsecret"
    assert heard["message"] == {
        "type": "response.create",
        "model": "m",
        "store": False,
        "input": [{"role": "user", "content": "Hi"}],
    }
    async with setting(handler, ()) as stage:
        (await stage.open()).close()
    assert b"authorization" not in heard["headers"]


async def test_finished_socket_gets_a_close_handshake(autojump_clock: MockClock) -> None:
    goodbyes: list[object] = []

    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        await socket.send_message(DONE)
        await listen(socket)
        goodbyes.append(socket.closed and socket.closed.code)

    async with setting(handle) as stage:
        answer = await stage.open()
        await drained(answer)
        answer.release()
        await wait_all_tasks_blocked()
        await stage.assert_nothing_left()
    assert goodbyes == [1000]


async def test_socket_is_closed_without_a_close_frame_from_the_server(
    autojump_clock: MockClock,
) -> None:
    async def handle(peer: Peer) -> None:
        async with trio.open_nursery() as nursery:
            socket = await Peer(peer.stream, nursery).accept()
            await socket.get_message()
            await socket.send_message(DONE)
            nursery.cancel_scope.cancel()  # stop reading, so that no close frame is sent
        await trio.sleep_forever()

    async with setting(handle) as stage:
        answer = await stage.open()
        answer.release()
        await trio.sleep(0.9)
        assert stage.server.open == 1
        await trio.sleep(0.2)
        await stage.assert_nothing_left()


async def test_a_socket_is_closed_at_once_and_the_peer_sees_it(autojump_clock: MockClock) -> None:
    seen: list[bool] = []

    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        await socket.send_message(HI)
        await listen(socket)
        seen.append(True)

    async with setting(handle) as stage:
        answer = await stage.open()
        answer.close()
        await stage.assert_nothing_left()
        assert seen == [True]
        answer.close()


async def test_unread_messages_do_not_keep_the_socket_open(autojump_clock: MockClock) -> None:
    """trio-websocket's reader blocks on its full queue, and must be cancelled there."""
    async with setting(saying(CREATED, *[HI] * 50)) as stage:
        answer = await stage.open()
        await wait_all_tasks_blocked()
        answer.close()
        await stage.assert_nothing_left()


async def test_binary_messages_and_pings(autojump_clock: MockClock) -> None:
    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        await socket.send_message(HI.encode())
        await socket.ping(b"are you there?")
        await socket.send_message(DONE)
        await listen(socket)

    async with setting(handle) as stage:
        assert await drained(await stage.open()) == (ANSWER, None)


async def test_answer_equals_the_http_stream(autojump_clock: MockClock) -> None:
    messages = [CREATED, HI, "oops", event("response.output_text.done", text="Hi there"), DONE]
    stream = b"".join(b"data: " + message.encode() + b"\n\n" for message in messages)
    async with setting(saying(*messages)) as stage:
        assert await drained(await stage.open()) == decoded(ResponsesDecoder(), [stream])


async def test_a_malformed_message_is_skipped_or_fails(autojump_clock: MockClock) -> None:
    async with setting(saying(HI, "{", '{"type":"response.output_text.delta","delta":"a')) as stage:
        chunks, failure = await drained(await stage.open())
    assert chunks == [TextChunk("Hi"), SkippedChunk("'{'")]
    assert failure is not None
    assert failure.kind is FailureKind.MALFORMED


async def test_oversized_message(autojump_clock: MockClock) -> None:
    async with setting(saying(HI, " " * (8 * 2**20 + 1))) as stage:
        chunks, failure = await drained(await stage.open())
    assert chunks == [TextChunk("Hi")]
    assert failure is not None
    assert failure.kind is FailureKind.TRUNCATED
    assert "1009" in failure.message


REJECTED = event(
    "error",
    status=429,
    error={"message": "Slow down, sk-12345 !", "code": "rate", "type": "t", "param": "p",
           "headers": {"Retry-After": "7"}},
)  # fmt: skip


async def test_leading_error_sets_the_status_of_the_call(
    autojump_clock: MockClock,
) -> None:
    async with setting(saying(REJECTED)) as stage:
        failure = await stage.failure()
    assert (failure.kind, failure.status) == (FailureKind.REJECTED, 429)
    assert (failure.code, failure.type, failure.param) == ("rate", "t", "p")
    assert failure.message == "Slow down, [secret] !"
    assert failure.retry_after_s == 7.0


async def test_error_with_a_wait_in_milliseconds(autojump_clock: MockClock) -> None:
    waits = {"Retry-After": "2", "Retry-After-Ms": "1500"}
    refusal = event("error", status=429, headers=waits, error={"message": "Slow down."})
    async with setting(saying(refusal)) as stage:
        assert (await stage.failure()).retry_after_s == 1.5


async def test_refused_field_is_left_out_on_another_socket(autojump_clock: MockClock) -> None:
    refused = event("error", status=400, error={"message": "Unknown parameter: 'user'."})
    heard: list[dict[str, Any]] = []

    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        heard.append(json.loads(await socket.get_message()))
        await socket.send_message(refused if "user" in heard[-1] else DONE)
        await listen(socket)

    call = replace(CALL, parameters={"user": "u"})
    async with setting(handle) as stage:
        for _ in range(2):
            answer = await stage.provider.open(call, connect_s=5.0)
            assert answer.ignored == ("user",)
            answer.close()
    assert ["user" in message for message in heard] == [True, False, False]


@pytest.mark.parametrize("headers", [None, {"retry-after": 7}, {"x": "y"}, ["retry-after"]])
async def test_error_without_retry_after(autojump_clock: MockClock, headers: object) -> None:
    refusal = event("error", status=503, headers=headers, error={"message": "Down."})
    async with setting(saying(refusal)) as stage:
        failure = await stage.failure()
    assert (failure.kind, failure.status) == (FailureKind.SERVER_ERROR, 503)
    assert failure.retry_after_s is None


async def test_error_before_content_is_not_an_in_stream_error(autojump_clock: MockClock) -> None:
    async with setting(saying(CREATED, REJECTED)) as stage:
        chunks, failure = await drained(await stage.open())
    assert chunks == []
    assert failure is not None
    assert failure.kind is FailureKind.REJECTED


@pytest.mark.parametrize(
    "last",
    [
        REJECTED,
        event("error", message="Slow down.", code="rate"),
        event("response.failed", response={"error": {"code": "rate", "message": "Slow down."}}),
    ],
)
async def test_error_after_content_is_an_in_stream_error(
    autojump_clock: MockClock, last: str
) -> None:
    async with setting(saying(CREATED, HI, last)) as stage:
        answer = await stage.open()
        chunks, failure = await drained(answer)
        assert chunks == [TextChunk("Hi")]
        assert failure is not None
        assert (failure.kind, failure.code) == (FailureKind.IN_STREAM_ERROR, "rate")
        with pytest.raises(UpstreamFailure):
            await answer.receive()


async def test_a_refused_key_is_noted(autojump_clock: MockClock) -> None:
    refusal = event("error", status=401, error={"message": "Wrong key."})
    async with setting(saying(refusal), ("one", "two")) as stage:
        first, second = await stage.failure(), await stage.failure()
        assert (first.another_key, second.another_key) == (True, False)
        third = await stage.failure()
    assert third.code == "no_usable_key"
    assert len(stage.server.wires) == 2


async def test_key_is_paused_if_a_stream_reports_no_credit(
    autojump_clock: MockClock,
) -> None:
    error = event("error", error={"message": "No.", "code": "insufficient_quota"})
    async with setting(saying(HI, error), ("one", "two")) as stage:
        for another in (True, False):
            answer = await stage.open()
            chunks, failure = await drained(answer)
            answer.close()
            assert chunks == [TextChunk("Hi")]
            assert failure is not None
            assert failure.another_key is another
        assert (await stage.failure()).code == "no_usable_key"


def refusing(status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> Handler:
    async def handle(peer: Peer) -> None:
        request = await peer.request()
        await request.reject(status, extra_headers=list(headers), body=body)

    return handle


async def test_refused_handshake_is_classified_by_status(autojump_clock: MockClock) -> None:
    body = b'{"error":{"message":"No topsecret here","code":"c","type":"t"}}'
    async with setting(refusing(429, [(b"retry-after", b"3")], body)) as stage:
        failure = await stage.failure()
    assert (failure.kind, failure.status) == (FailureKind.REJECTED, 429)
    assert (failure.message, failure.code) == ("No [secret] here", "c")
    assert failure.retry_after_s == 3.0


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (b"HTTP/1.1 503 Down\r\n\r\nno length", FailureKind.SERVER_ERROR, 503),
        (b"HTTP/1.1 401 No\r\nContent-Length: 5\r\n\r\nab", FailureKind.REJECTED, 401),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", FailureKind.SERVER_ERROR, 200),
        (b"HTTP/1.1 301 Away\r\nLocation: http://x/\r\n\r\n", FailureKind.SERVER_ERROR, 301),
        (b"", FailureKind.REFUSED, None),
        (b"HTTP/1.1 50", FailureKind.SERVER_ERROR, None),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgra", FailureKind.SERVER_ERROR, None),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", FailureKind.SERVER_ERROR, None),
        (b"\x16\x03\x01 not HTTP\r\n\r\n", FailureKind.SERVER_ERROR, None),
        (b"HTTP/1.1 101 x\r\nX: " + b"x" * 70_000, FailureKind.SERVER_ERROR, None),
        (
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
            b"Sec-WebSocket-Accept: nonsense\r\n\r\n",
            FailureKind.SERVER_ERROR,
            None,
        ),
    ],
)
async def test_invalid_handshake_responses(
    autojump_clock: MockClock, answer: bytes, kind: FailureKind, status: int | None
) -> None:
    async def handle(peer: Peer) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(answer)
        await peer.stream.aclose()

    async with setting(handle) as stage:
        failure = await stage.failure()
    assert (failure.kind, failure.status) == (kind, status)


async def test_the_body_of_a_refusal_is_not_waited_for(autojump_clock: MockClock) -> None:
    async def handle(peer: Peer) -> None:
        await peer.stream.receive_some()
        await peer.stream.send_all(b"HTTP/1.1 502 Bad\r\nContent-Length: 99\r\n\r\nabc")
        await trio.sleep_forever()

    async with setting(handle) as stage:
        began = trio.current_time()
        assert (await stage.failure()).status == 502
        assert trio.current_time() - began == 2.0


async def test_connect_timeout_and_refused_connection(autojump_clock: MockClock) -> None:
    async with setting(saying(DONE)) as stage:
        stage.server.connect_s = 6.0
        assert (await stage.failure()).kind is FailureKind.CONNECT_TIMEOUT
    async with setting(saying(DONE)) as stage:

        async def refuse(*where: object) -> None:
            raise httpx.ConnectError("connection refused")

        stage.provider._connect = refuse  # type: ignore[assignment]
        failure = await stage.failure()
        assert (failure.kind, failure.sent) == (FailureKind.REFUSED, False)


@pytest.mark.parametrize("messages", [(), (CREATED,), (CREATED, HI)])
@pytest.mark.parametrize("how", ["close", "drop", "noise"])
async def test_socket_end_before_the_finish_is_truncation(
    autojump_clock: MockClock, messages: tuple[str, ...], how: str
) -> None:
    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        for message in messages:
            await socket.send_message(message)
        if how == "close":
            await socket.aclose(1011, "at sk-12345 up:8000")
        elif how == "noise":
            await peer.stream.send_all(b"\xff\xff this is no frame")
            await trio.sleep_forever()
        else:
            await peer.stream.aclose()

    async with setting(handle) as stage:
        if messages:
            answer = await stage.open()
            chunks, failure = await drained(answer)
            answer.close()
        else:
            chunks, failure = [], await stage.failure()
    assert chunks == [TextChunk("Hi")][: max(0, len(messages) - 1)]
    assert failure is not None
    assert failure.kind is (FailureKind.TRUNCATED if messages else FailureKind.REFUSED)
    if how == "close":
        assert failure.message == (
            "the provider closed the connection with code 1011 (at [secret] [address])"
        )


async def test_pings_and_events_without_content_are_signs_of_life(
    autojump_clock: MockClock,
) -> None:
    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        await socket.send_message(CREATED)
        await trio.sleep(1)
        await socket.ping(b"x")
        await trio.sleep(1)
        await socket.send_message(CREATED)
        await trio.sleep(1)
        await socket.send_message(DONE)
        await listen(socket)

    seen: list[float] = []
    async with setting(handle) as stage:
        began = trio.current_time()
        answer = await stage.provider.open(
            CALL, connect_s=5.0, alive=lambda: seen.append(trio.current_time() - began)
        )
        await drained(answer)
        answer.release()
    assert {0.0, 1.0, 2.0} <= set(seen)


async def test_socket_end_after_the_finish_is_a_good_end(autojump_clock: MockClock) -> None:
    async def handle(peer: Peer) -> None:
        socket = await peer.accept()
        await socket.get_message()
        await socket.send_message(HI)
        await socket.send_message(DONE)
        await socket.aclose()

    async with setting(handle) as stage:
        assert await drained(await stage.open()) == (ANSWER, None)


class CancelAfterSteps(trio.abc.Instrument):
    """Instrument that cancels a scope after this many steps of any tasks."""

    def __init__(self, scope: trio.CancelScope, steps: int) -> None:
        self._scope = scope
        self._left = steps

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            self._scope.cancel()


async def test_cancellation_at_any_step_leaves_nothing_open(autojump_clock: MockClock) -> None:
    async def play(stage: Setting, steps: int) -> bool:
        with trio.CancelScope() as scope:
            witness = CancelAfterSteps(scope, steps)
            trio.lowlevel.add_instrument(witness)
            try:
                answer = await stage.open()
                try:
                    await drained(answer)
                finally:
                    answer.close()
            finally:
                trio.lowlevel.remove_instrument(witness)
        await stage.assert_nothing_left()
        return scope.cancelled_caught

    async with setting(saying(CREATED, HI, DONE)) as stage:
        cancelled = [await play(stage, steps) for steps in range(1, 80)]
        assert sum(cancelled) > 20
        assert not cancelled[-1]
        assert await drained(await stage.open()) == (ANSWER, None)


async def test_cancelled_while_the_server_is_silent(autojump_clock: MockClock) -> None:
    async def handle(peer: Peer) -> None:
        await trio.sleep_forever()

    async with setting(handle) as stage:
        with trio.move_on_after(3.0) as scope:
            await stage.open()
        assert scope.cancelled_caught
        await stage.assert_nothing_left()


async def test_closing_the_provider_closes_its_sockets(autojump_clock: MockClock) -> None:
    async with setting(saying(CREATED, HI)) as stage:
        answers = [await stage.open() for _ in range(3)]
        assert stage.server.open == 3
    assert stage.server.open == 0
    assert len(answers) == 3


async def test_exception_in_the_body_passes_through_unchanged() -> None:
    with pytest.raises(LookupError, match="elsewhere"):
        async with open_responses_ws("p", URL, None):
            raise LookupError("elsewhere")


@pytest.mark.parametrize("url", ["ws://up/v1", "http://", "https://me:secret@up/v1"])
async def test_unusable_base_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL of provider p"):
        async with open_responses_ws("p", url, None):
            raise AssertionError


async def test_a_https_url_means_tls(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        server = Server(nursery, saying(DONE))
        url = "https://up.example/v1"
        async with open_responses_ws("p", url, None, connect=server.connect) as provider:
            (await provider.open(CALL, connect_s=1)).close()
        nursery.cancel_scope.cancel()
    assert server.connects == [("up.example", 443, True)]


def test_a_reader_of_messages_keeps_its_failure() -> None:
    reader = MessageReader()
    assert reader.feed(HI.encode()) == [TextChunk("Hi")]
    with pytest.raises(UpstreamFailure):
        reader.end()
    for _ in range(2):
        with pytest.raises(UpstreamFailure, match="without a finish"):
            reader.feed(HI.encode())
