"""Tests of the HTTP provider over scripted connections: answers and failure kinds."""

import threading
from typing import Any

import httpx
import msgspec
import pytest
import trio

from actors.ports import AnswerStream, Provider
from actors.providers.formats.base import Translation
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.http.credentials import Credentials
from actors.providers.http.provider import HttpProvider, UpstreamClient, make_client
from actors.providers.http.transport import Statistics
from actors.routing.key_ring import REST_S, KeyRing
from actors.runtime.offload import BUDGET, Cost
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import Chunk, FinishChunk, TextChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Reason, Usage
from tests.support.scripted_connections import (
    LAST,
    CancelAtStep,
    Line,
    MemoryWire,
    Peer,
    chunked,
    credentials_of,
    head,
)

URL = "http://up:8000/v1/"
CALL = ModelCall(upstream_model="m", messages=read_messages([]), parameters={})
SSE = head(200, "content-type: text/event-stream; charset=utf-8", "transfer-encoding: chunked")
TEXT = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
STOP = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
HI, FINISH = TextChunk("Hi"), FinishChunk(Reason.STOP)
COUNTED = UsageChunk(Usage(input_tokens=1, output_tokens=2))


class Setting:
    """A provider whose only connection follows a script."""

    def __init__(self, *script: Line, api_key: str | None = "topsecret", **options: Any) -> None:
        self.wire = MemoryWire(*script)
        self.client = Peer(self.wire).client()
        self.provider: Provider = HttpProvider(
            "p", URL, None if api_key is None else credentials_of(api_key), self.client, **options
        )

    async def open(self) -> AnswerStream:
        return await self.provider.open(CALL, connect_s=5.0)

    async def failure(self) -> UpstreamFailure:
        with pytest.raises(UpstreamFailure) as caught:
            await self.open()
        assert self.statistics.open == self.statistics.idle
        return caught.value

    @property
    def statistics(self) -> Statistics:
        return self.client.upstream.statistics()


async def drained(answer: AnswerStream) -> list[list[Chunk]]:
    batches: list[list[Chunk]] = []
    while batch := await answer.receive():
        batches.append(batch)
    return batches


async def test_each_read_gives_one_batch() -> None:
    setting = Setting(SSE, chunked(TEXT, TEXT), chunked(TEXT), chunked(STOP, USAGE, DONE) + LAST)
    answer = await setting.open()
    assert await drained(answer) == [[HI, HI], [HI], [FINISH, COUNTED]]
    assert await answer.receive() == []
    answer.release()
    assert setting.statistics == Statistics(connecting=0, open=1, idle=1)


async def test_request_is_built_by_the_format() -> None:
    setting = Setting(SSE)
    await setting.open()
    request, _, body = setting.wire.sent.partition(b"\r\n\r\n")
    lines = request.decode().split("\r\n")
    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert {"host: up:8000", "accept-encoding: identity", "authorization: Bearer topsecret"} <= set(
        lines
    )
    assert f"content-length: {len(body)}" in lines
    assert msgspec.json.decode(body)["stream"] is True
    keyless = Setting(SSE, api_key=None)
    await keyless.open()
    assert b"authorization" not in keyless.wire.sent


async def test_release_at_the_end_marker_does_not_wait_for_the_last_chunk() -> None:
    setting = Setting(SSE, chunked(TEXT, STOP, DONE))
    answer = await setting.open()
    assert await drained(answer) == [[HI, FINISH]]
    answer.release()
    assert setting.statistics.idle == 1
    setting.wire.script += [LAST, 0.0, SSE]
    await setting.open()
    assert setting.statistics == Statistics(connecting=0, open=1, idle=0)


async def test_close_is_immediate() -> None:
    setting = Setting(SSE, chunked(TEXT))
    answer = await setting.open()
    await answer.receive()
    answer.close()
    assert setting.wire.closed
    assert setting.statistics.open == 0


async def test_bytes_without_content_are_signs_of_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    pings = [b": PROCESSING\n\n", b"\n", b'data: {"choices":[]}\n\n', TEXT[:9], TEXT[9:]]
    lines: list[Line] = [line for ping in pings for line in (1.0, chunked(ping))]
    setting = Setting(SSE, *lines, chunked(STOP), 1.0, chunked(b": late\n\n"), LAST)
    seen: list[float] = []
    answer = await setting.provider.open(
        CALL, connect_s=5.0, alive=lambda: seen.append(trio.current_time())
    )
    assert await drained(answer) == [[HI], [FINISH]]
    assert seen == [1.0, 2.0, 3.0, 4.0, 6.0]


@pytest.mark.parametrize("end", [b"", httpx.ReadError("reset"), b"nonsense\r\n", LAST])
async def test_truncation_before_the_finish_is_a_failure(end: Line) -> None:
    setting = Setting(SSE, chunked(TEXT), end)
    answer = await setting.open()
    assert await answer.receive() == [HI]
    for _ in range(2):
        with pytest.raises(UpstreamFailure) as caught:
            await answer.receive()
        assert caught.value.kind is FailureKind.TRUNCATED
    answer.close()
    assert setting.wire.closed


async def test_chunks_before_a_failure_come_first_and_the_failure_without_reading() -> None:
    setting = Setting(SSE, chunked(TEXT, b'data: {"error":{"message":"at up:8000"}}\n\n'))
    answer = await setting.open()
    assert await answer.receive() == [HI]
    with pytest.raises(UpstreamFailure) as caught:
        await answer.receive()
    assert (caught.value.kind, caught.value.message) == (
        FailureKind.IN_STREAM_ERROR,
        "at [address]",
    )


async def test_a_whole_answer_instead_of_a_stream() -> None:
    document = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    fields = ("content-type: application/json", f"content-length: {len(document)}")
    setting = Setting(head(200, *fields), document[:20], document[20:])
    answer = await setting.open()
    assert await drained(answer) == [[HI, FINISH]]
    answer.release()
    assert setting.statistics.idle == 1


def error(status: int, body: bytes, *fields: str) -> bytes:
    return head(status, f"content-length: {len(body)}", *fields) + body


async def test_rejection_has_the_provider_s_message() -> None:
    body = (
        b'{"error":{"message":"key topsecret at http://10.0.0.1/ no","type":"auth",'
        b'"code":"bad_key","param":"x"}}'
    )
    setting = Setting(error(401, body))
    failure = await setting.failure()
    assert failure.kind is FailureKind.REJECTED
    assert failure.message == "key [secret] at [address] no"
    assert (failure.status, failure.type, failure.code, failure.param) == (
        401,
        "auth",
        "bad_key",
        "x",
    )
    assert setting.statistics.idle == 1


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (404, b"<html>no</html>", FailureKind.REJECTED, "the provider answered with status 404"),
        (429, b'{"detail":"slow"}', FailureKind.REJECTED, "slow"),
        (500, b'{"error":"oh"}', FailureKind.SERVER_ERROR, "oh"),
        (503, b"", FailureKind.SERVER_ERROR, "the provider answered with status 503"),
        (302, b"", FailureKind.SERVER_ERROR, "the provider answered with status 302"),
        (202, b"{}", FailureKind.SERVER_ERROR, "the provider answered with status 202"),
    ],
)
async def test_statuses(status: int, body: bytes, kind: FailureKind, message: str) -> None:
    failure = await Setting(error(status, body)).failure()
    assert (failure.kind, failure.message, failure.status) == (kind, message, status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("9" * 400, 86_400.0),
        ("Fri, 20 Nov 2099 10:00:30 GMT", 86_400.0),
        ("Fri, 20 Nov 2026 10:00:30 GMT", 30.0),
        ("Fri, 20 Nov 2026 09:00:00 GMT", 0.0),
        ("Fri, 20 Nov 2026 10:00:30 -0000", 30.0),
        ("soon", None),
        ("-1", None),
        (".", None),
        ("Fri, 99 Nov 2026 10:00:30 GMT", None),
    ],
)
async def test_retry_after(value: str, seconds: float | None) -> None:
    setting = Setting(error(429, b"", f"retry-after: {value}"), now=lambda: 1795168800.0)
    assert (await setting.failure()).retry_after_s == seconds


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        (["retry-after-ms: 1500"], 1.5),
        (["x-ms-retry-after-ms: 1500", "retry-after: 1"], 1.5),
        (["retry-after: 2", "retry-after-ms: 1500"], 1.5),
        (["retry-after: 2", "Retry-After-Ms: soon"], 2.0),
    ],
)
async def test_retry_after_in_milliseconds_has_precedence(
    fields: list[str], seconds: float
) -> None:
    assert (await Setting(error(429, b"", *fields)).failure()).retry_after_s == seconds


async def test_retry_delay_from_the_error_body() -> None:
    body = b'{"error":{"code":429,"message":"slow","details":[{"retryDelay":"%ds"}]}}'
    assert (await Setting(error(429, body % 21)).failure()).retry_after_s == 21.0
    assert (await Setting(error(429, body % 10**9)).failure()).retry_after_s == 86_400.0
    failure = await Setting(error(429, body % 21, "retry-after: 7")).failure()
    assert failure.retry_after_s == 7.0


def typed(media_type: str | None) -> bytes:
    return head(200, *([] if media_type is None else [f"content-type: {media_type}"]))


@pytest.mark.parametrize("media_type", ["text/html; charset=utf-8", "application/xml", "image/png"])
async def test_page_fails_before_the_answer_counts_as_begun(media_type: str) -> None:
    for body in ([b"<html>"], [b" \n", b"<ht"], [b""]):
        setting = Setting(typed(media_type), *body, b"")
        failure = await setting.failure()
        assert (failure.kind, failure.status) == (FailureKind.SERVER_ERROR, 200)
        assert media_type.partition(";")[0] in failure.message
        assert setting.wire.closed


async def test_compressed_body_fails() -> None:
    fields = ("content-type: text/event-stream", "content-encoding: gzip")
    setting = Setting(head(200, *fields) + b"...")
    assert (await setting.failure()).kind is FailureKind.SERVER_ERROR
    assert setting.wire.closed


@pytest.mark.parametrize(
    "media_type",
    [None, "text/plain", "application/octet-stream", "application/json", "text/html", "x/y"],
)
async def test_stream_is_read_whatever_its_type(media_type: str | None) -> None:
    for cut in (0, 1, 3, len(TEXT)):
        body = b"\n" + TEXT + STOP + DONE
        setting = Setting(typed(media_type), *(p for p in (body[:cut], body[cut:]) if p), b"")
        answer = await setting.open()
        assert [one for batch in await drained(answer) for one in batch] == [HI, FINISH]
        answer.release()


@pytest.mark.parametrize("media_type", [None, "text/plain", "text/event-stream", "text/html"])
async def test_document_is_read_whatever_its_type(media_type: str | None) -> None:
    document = b'{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}'
    setting = Setting(typed(media_type), document[:1], document[1:20], document[20:], b"")
    assert await drained(await setting.open()) == [[HI, FINISH]]
    marked = Setting(typed(media_type), b"\xef\xbb", b"\xbf" + document, b"")
    assert await drained(await marked.open()) == [[HI, FINISH]]


@pytest.mark.parametrize("media_type", [None, "text/plain", "text/event-stream"])
async def test_page_without_its_type_is_not_an_answer(media_type: str | None) -> None:
    setting = Setting(typed(media_type), b"<html>", b"")
    answer = await setting.open()
    with pytest.raises(UpstreamFailure) as caught:
        await answer.receive()
    assert (caught.value.kind, caught.value.status) == (FailureKind.SERVER_ERROR, 200)
    answer.close()
    assert setting.wire.closed


async def test_cut_before_a_page_has_shown_itself_is_a_failure() -> None:
    setting = Setting(typed("text/html"), httpx.ReadError("reset"))
    assert (await setting.failure()).kind is FailureKind.TRUNCATED
    assert setting.wire.closed


async def test_an_endless_error_is_read_up_to_64_kib() -> None:
    pages = [chunked(b"x" * 16384) for _ in range(10)]
    setting = Setting(head(500, "transfer-encoding: chunked"), *pages)
    assert (await setting.failure()).status == 500
    assert len(setting.wire.script) == 6
    assert setting.wire.closed


@pytest.mark.parametrize("end", [60.0, b"", httpx.ReadError("reset")])
async def test_incomplete_error_body_is_reported_by_status(
    end: Line, autojump_clock: trio.testing.MockClock
) -> None:
    setting = Setting(head(503, "content-length: 100"), b'{"error"', end)
    failure = await setting.failure()
    assert failure.message == "the provider answered with status 503"
    assert trio.current_time() <= 2.001
    assert setting.wire.closed


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ([b""], FailureKind.REFUSED),
        ([httpx.ReadError("connection reset by peer")], FailureKind.REFUSED),
        ([b"SMTP\r\n\r\n"], FailureKind.SERVER_ERROR),
    ],
)
async def test_no_response(script: list[Line], kind: FailureKind) -> None:
    failure = await Setting(*script).failure()
    assert failure.kind is kind
    assert failure.sent
    assert "up" not in failure.message.split()


async def test_refused_and_too_slow_connections(autojump_clock: trio.testing.MockClock) -> None:
    refusing = HttpProvider("p", URL, None, Peer().client())
    with pytest.raises(UpstreamFailure) as caught:
        await refusing.open(CALL, connect_s=5.0)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.REFUSED, False)
    slow = HttpProvider("p", URL, None, Peer(MemoryWire(), connect_s=9.0).client())
    with pytest.raises(UpstreamFailure) as caught:
        await slow.open(CALL, connect_s=5.0)
    assert (caught.value.kind, caught.value.sent) == (FailureKind.CONNECT_TIMEOUT, False)
    assert trio.current_time() == pytest.approx(5.0)


async def test_only_connecting_is_bounded_by_connect_s(
    autojump_clock: trio.testing.MockClock,
) -> None:
    answer = await Setting(20.0, SSE, 20.0, chunked(TEXT)).open()
    assert await answer.receive() == [HI]
    assert trio.current_time() == pytest.approx(40.0)


async def test_cancellation_at_any_step_leaves_nothing_open() -> None:
    step, finished = 0, False
    while not finished:
        step += 1
        setting = Setting(head(100), SSE, chunked(TEXT), chunked(STOP), 0.0, chunked(DONE) + LAST)
        with trio.CancelScope() as scope:
            watch = CancelAtStep(trio.lowlevel.current_task(), scope, step)
            trio.lowlevel.add_instrument(watch)
            answer = await setting.open()
            try:
                await drained(answer)
                finished = True
            finally:
                answer.release() if finished else answer.close()
        trio.lowlevel.remove_instrument(watch)
        assert setting.statistics.connecting == 0
        assert setting.statistics.open == int(finished)
        assert setting.wire.closed == (setting.wire.opened and not finished)
    assert step > 6


def failing(status: int, message: str) -> bytes:
    body = msgspec.json.encode({"error": {"message": message}})
    length = f"content-length: {len(body)}"
    return head(status, "content-type: application/json", "connection: close", length) + body


async def test_keys_are_rotated_and_never_in_messages() -> None:
    said = "bad key: first-key, second-key"
    wires = [MemoryWire(failing(status, said)) for status in (500, 401, 401)]
    provider = HttpProvider(
        "p", URL, credentials_of("first-key", "second-key"), Peer(*wires).client()
    )
    failures = []
    for _ in range(4):
        with pytest.raises(UpstreamFailure) as caught:
            await provider.open(CALL, connect_s=5.0)
        failures.append(caught.value)
    sent = [wire.sent for wire in wires]
    assert [b"Bearer first-key" in request for request in sent] == [True, False, True]
    assert [b"Bearer second-key" in request for request in sent] == [False, True, False]
    assert [failure.another_key for failure in failures] == [False, True, False, False]
    assert failures[3].code == "no_usable_key"
    assert not [failure for failure in failures if "-key" in failure.message]


async def test_answer_ends_the_doubling_of_a_key_s_rests(
    mock_clock: trio.testing.MockClock,
) -> None:
    ring = KeyRing(["key"])
    wires = [MemoryWire(failing(401, "no")), MemoryWire(SSE), MemoryWire(failing(401, "no"))]
    provider = HttpProvider("p", URL, Credentials(["key"], ring), Peer(*wires).client())
    with pytest.raises(UpstreamFailure):
        await provider.open(CALL, connect_s=5.0)
    mock_clock.jump(REST_S)
    (await provider.open(CALL, connect_s=5.0)).close()
    with pytest.raises(UpstreamFailure):
        await provider.open(CALL, connect_s=5.0)
    assert ring.retry_in_s(trio.current_time()) == pytest.approx(REST_S)


@pytest.mark.parametrize("before", [[], [TEXT]])
async def test_key_is_paused_if_a_stream_reports_no_credit(before: list[bytes]) -> None:
    error = b'data: {"error":{"message":"No.","code":"insufficient_quota"}}\n\n'
    keys = credentials_of("first-key", "second-key")
    wires = [MemoryWire(SSE, chunked(*before, error)) for _ in range(2)]
    provider = HttpProvider("p", URL, keys, Peer(*wires).client())
    failures = []
    for _ in range(3):
        with pytest.raises(UpstreamFailure) as caught:
            await drained(await provider.open(CALL, connect_s=5.0))
        failures.append(caught.value)
    assert [failure.another_key for failure in failures] == [True, False, False]
    assert failures[2].code == "no_usable_key"


@pytest.mark.parametrize("key", ["", "a b", "a\nb", "ü"])
async def test_a_key_that_cannot_be_sent_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not visible ASCII"):
        Setting(api_key=key)


@pytest.mark.parametrize("url", ["ftp://up/", "up:8000", "http:///v1", "http://a:b@up/"])
async def test_unusable_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="base URL of provider p"):
        HttpProvider("p", url, None, Peer().client())


async def test_a_client_has_no_proxy_and_no_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with make_client("http://up") as client:
        assert isinstance(client, UpstreamClient)
        assert (client.trust_env, client.timeout) == (False, httpx.Timeout(None))
    wire = MemoryWire(head(200, "content-length: 2") + b"{}")
    async with Peer(wire).client() as client:
        assert (await client.get("http://up/v1/models")).json() == {}
    assert wire.closed


@pytest.mark.parametrize(
    ("base", "path", "target"),
    [
        ("http://up/v1beta/", "/models/a%3Ab%2Fc:x?alt=sse", "/v1beta/models/a%3Ab%2Fc:x?alt=sse"),
        ("http://up", "/api/chat", "/api/chat"),
        ("http://up/a%20b?v=1", "/c", "/a%20b/c?v=1"),
        ("http://up/?v=1", "/c?alt=sse", "/c?alt=sse&v=1"),
    ],
)
async def test_path_is_sent_as_the_format_builds_it(base: str, path: str, target: str) -> None:
    wire = MemoryWire(SSE)
    format = msgspec.structs.replace(OPENAI_CHAT, path=lambda model: path)
    provider = HttpProvider("p", base, None, Peer(wire).client(), format=format)
    (await provider.open(CALL, connect_s=5.0)).close()
    assert wire.sent.startswith(f"POST {target} HTTP/1.1\r\n".encode())


REFUSED = b'{"error": {"message": "Unknown parameter: \'stream_options\'."}}'
ODD = b'{"error": {"message": "Unknown parameter: \'odd\'."}}'
LIMITED = b'{"error": {"message": "Slow down."}}'


def answer_of(status: int, body: bytes) -> bytes:
    length = f"content-length: {len(body)}"
    return head(status, "content-type: application/json", length, "connection: close") + body


ACCEPTED = SSE + chunked(TEXT, STOP, DONE) + LAST


class Asking:
    """A provider whose connections get one answer each; calls have the parameter `odd`."""

    def __init__(self, *answers: bytes) -> None:
        self.wires = [MemoryWire(answer) for answer in answers]
        self.provider = HttpProvider("p", URL, None, Peer(*self.wires).client())

    async def open(self, model: str = "m", *, strict: bool = False) -> AnswerStream:
        call = ModelCall(
            upstream_model=model,
            messages=read_messages([]),
            parameters={"odd": 1},
            strict=strict,
        )
        answer = await self.provider.open(call, connect_s=5.0)
        answer.close()
        return answer

    @property
    def fields(self) -> list[set[str]]:
        """Those of the fields `odd` and `stream_options` that each request had."""
        bodies = [wire.sent.partition(b"\r\n\r\n")[2] for wire in self.wires if wire.sent]
        return [{"odd", "stream_options"} & msgspec.json.decode(body).keys() for body in bodies]


async def test_refused_field_is_left_out_at_once_and_from_then_on() -> None:
    asking = Asking(answer_of(400, REFUSED), *[ACCEPTED] * 4)
    answer = await asking.open()
    assert answer.ignored == (), "the client didn't send it"
    await asking.open()
    await asking.open("other")
    both, one = {"odd", "stream_options"}, {"odd"}
    assert asking.fields == [both, one, one, both]


async def test_several_refused_fields_are_left_out_one_after_another() -> None:
    asking = Asking(answer_of(400, REFUSED), answer_of(422, ODD), ACCEPTED)
    assert (await asking.open()).ignored == ("odd",)
    assert asking.fields == [{"odd", "stream_options"}, {"odd"}, set()]


async def test_refusal_is_not_remembered_if_the_rest_is_refused_too() -> None:
    asking = Asking(answer_of(400, REFUSED), answer_of(429, LIMITED), ACCEPTED)
    with pytest.raises(UpstreamFailure) as caught:
        await asking.open()
    assert caught.value.status == 429
    await asking.open()
    assert asking.fields[2] == {"odd", "stream_options"}


async def test_server_that_refuses_in_circles_is_given_up() -> None:
    asking = Asking(*[answer_of(400, REFUSED)] * 3)
    with pytest.raises(UpstreamFailure):
        await asking.open()
    assert len(asking.fields) == 2


async def test_server_that_refuses_field_after_field_is_given_up() -> None:
    given: dict[str, object] = {f"odd_{number}": 1 for number in range(9)}
    refusals = [
        answer_of(400, b'{"error": {"message": "Unknown parameter: odd_%d"}}' % number)
        for number in range(9)
    ]
    asking = Asking(*refusals)
    call = ModelCall(upstream_model="m", messages=(), parameters=given)
    with pytest.raises(UpstreamFailure) as caught:
        await asking.provider.open(call, connect_s=5.0)
    assert caught.value.message == "Unknown parameter: odd_4"


async def test_strict_call_fails_if_its_field_is_refused() -> None:
    asking = Asking(answer_of(400, ODD), ACCEPTED)
    with pytest.raises(UpstreamFailure) as caught:
        await asking.open(strict=True)
    assert caught.value.message == "Unknown parameter: 'odd'."
    assert len(asking.fields) == 1


async def test_remembered_refusals_are_unsupported() -> None:
    asking = Asking(answer_of(400, ODD), ACCEPTED)
    call = ModelCall(upstream_model="m", messages=(), parameters={"odd": 1})
    assert await asking.provider.unsupported(call) == ()
    await asking.open()
    assert await asking.provider.unsupported(call) == ("odd",)


FOREIGN: dict[str, tuple[str, ...]] = {"speed": ()}


@pytest.mark.parametrize(("parts", "inline"), [(10, True), (BUDGET // Cost.VALUE, False)])
async def test_large_calls_are_translated_in_a_thread(parts: int, inline: bool) -> None:
    threads: list[int] = []

    def recorded(call: ModelCall) -> Translation:
        threads.append(threading.get_ident())
        return OPENAI_CHAT.translate(call)

    format = msgspec.structs.replace(OPENAI_CHAT, translate=recorded)
    setting = Setting(SSE, format=format)
    content: list[Any] = [{"type": "text", "text": "a"}] * parts
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    call = ModelCall(upstream_model="m", messages=read_messages(messages), parameters={"speed": 1})
    call = msgspec.structs.replace(call, foreign=FOREIGN)
    answer = await setting.provider.open(call, connect_s=5.0)
    assert answer.ignored == ("speed",)
    assert [thread == threading.get_ident() for thread in threads] == [inline], "just once"
    assert await setting.provider.unsupported(call) == answer.ignored
    assert (threads[1] == threading.get_ident()) is inline
    sent = setting.wire.sent.partition(b"\r\n\r\n")[2]
    assert msgspec.json.decode(sent)["messages"] == messages
