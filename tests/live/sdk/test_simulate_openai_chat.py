"""`trouper simulate` as a subprocess, used by the official `openai` SDK and raw sockets."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import openai
import pytest

from tests.support.live.openai_clients import QUESTION, WEATHER, function_calls

SERVE = """
import sys
from pathlib import Path
from web.drill.witness import SimulateSettings, run_simulated
settings = SimulateSettings(port=0, witness=Path(sys.argv[1]))
run_simulated(settings, lambda url: print(url, flush=True))
"""
ABORT_S = 0.05


class Server(NamedTuple):
    url: str
    port: int
    process: subprocess.Popen[str]
    file: Path

    def events(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.file.read_text().splitlines()]

    def report(self, id: str) -> dict[str, object]:
        """Return the report of one request from `GET /witness`."""
        found = httpx.get(f"{self.url}/../witness", params={"id": id}, trust_env=False).json()
        (report,) = found["requests"]
        assert isinstance(report, dict)
        return report


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    file = tmp_path / "witness.jsonl"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(file)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        yield Server(url, httpx.URL(url).port or 0, process, file)
        process.kill()


@pytest.fixture
def client(server: Server) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        yield client


def connect(server: Server, model: str, *, stream: bool = True, id: str = "raw") -> socket.socket:
    """Open a raw connection and send one chat completion request."""
    call = {"model": model, "stream": stream, "messages": QUESTION, "user": id}
    body = json.dumps(call).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    sock.sendall(head.encode() + body)
    return sock


def read_until(sock: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got and (data := sock.recv(65_536)):
        got += data
    return got


def test_sdk_streams_an_answer(client: openai.OpenAI, server: Server) -> None:
    with client.chat.completions.create(
        model="sim:delay=1ms",
        messages=QUESTION,
        stream=True,
        stream_options={"include_usage": True},
        user="sdk",
    ) as stream:
        chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    report = server.report("sdk")
    assert text == report["text_sent"]
    assert chunks[-1].usage.completion_tokens == report["tokens_sent"]


def test_sdk_gets_the_same_answer_streamed_and_unstreamed(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="sim:delay=0", messages=QUESTION)
    stream = client.chat.completions.create(model="sim:delay=0", messages=QUESTION, stream=True)
    with stream:
        streamed = "".join(c.choices[0].delta.content or "" for c in list(stream) if c.choices)
    assert whole.choices[0].message.content == streamed
    assert client.models.list().data[0].id == "sim"


@pytest.mark.parametrize("calls", [1, 2])
def test_sdk_receives_tool_calls(client: openai.OpenAI, calls: int) -> None:
    with client.chat.completions.stream(
        model=f"sim:tool={calls},delay=1ms", messages=QUESTION, tools=[WEATHER]
    ) as stream:
        streamed = stream.get_final_completion().choices[0]
    whole = client.chat.completions.create(
        model=f"sim:tool={calls},delay=0", messages=QUESTION, tools=[WEATHER]
    ).choices[0]
    assert streamed.finish_reason == whole.finish_reason == "tool_calls"
    made = function_calls(whole.message)
    assert len(made) == calls
    assert function_calls(streamed.message) == made
    assert all(name == "weather" and json.loads(text).keys() == {"city"} for name, text in made)


def test_sdk_maps_errors_to_its_exceptions(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as limited:
        client.chat.completions.create(model="sim:429=2", messages=QUESTION)
    assert limited.value.response.headers["retry-after"] == "2"
    with pytest.raises(openai.NotFoundError, match="unknown setting 'oops'"):
        client.chat.completions.create(model="sim:oops", messages=QUESTION)
    stream = client.chat.completions.create(
        model="sim:errorframe=3,code=late", messages=QUESTION, stream=True
    )
    with pytest.raises(openai.APIError, match="failed midway"):
        list(stream)


def test_sdk_waits_for_retry_after(server: Server) -> None:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=1) as client:
        started_at = time.monotonic()
        client.chat.completions.create(
            model="sim:error=429,retry=0.5,times=1,tokens=2", messages=QUESTION
        )
    assert time.monotonic() - started_at >= 0.5


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize(
    ("model", "stream", "until"),
    [
        ("sim:silent", True, b""),
        ("sim:stall=0", True, b"\r\n\r\n"),
        ("sim:count,tokens=5000", True, b'"content":" 7"'),
        ("sim:tokens=5000", False, b""),
        ("sim:tokens=100000,delay=0", True, b"data: "),
    ],
)
def test_disconnect_is_reported_at_once(
    server: Server, model: str, stream: bool, until: bytes, how: str
) -> None:
    sock = connect(server, model, stream=stream, id="leaver")
    if until:
        read_until(sock, until)
    assert server.report("leaver")["closed_at"] is None
    if how == "reset":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    left_at = time.monotonic()
    sock.close()
    report = server.report("leaver")
    closed_at = report["closed_at"]
    assert isinstance(closed_at, float)
    assert left_at <= closed_at < left_at + ABORT_S
    assert report["ended_at"] is None
    # The kernel sends RST instead of FIN when a socket with unread data is closed.
    assert report["closed_by"] in (how, "reset")
    if model in ("sim:silent", "sim:stall=0"):
        assert report["closed_by"] == how


@pytest.mark.parametrize("model", ["sim:refuse", "sim:reset=3"])
def test_simulated_reset_sends_rst(server: Server, model: str) -> None:
    with connect(server, model) as sock, pytest.raises(ConnectionResetError):
        read_until(sock, b"never")


@pytest.mark.parametrize(
    ("model", "last"),
    [
        ("sim:cut=3", b"\n\n\r\n"),
        ("sim:break=3", b'.completion.chunk","cr'),
        ("sim:noise=3", b"not a chunk \x00\r\n"),
        ("sim:garbage", b"not HTTP\r\n\r\n"),
    ],
)
def test_simulated_cut_is_a_fin_without_the_last_chunk(
    server: Server, model: str, last: bytes
) -> None:
    with connect(server, model) as sock:
        got = read_until(sock, b"never")
    assert last in got[-40:]
    assert not got.endswith(b"0\r\n\r\n")


def test_sigterm_stops_running_answers_at_once_and_records_it(server: Server) -> None:
    with connect(server, "sim:silent"), connect(server, "sim:count,tokens=5000") as sock:
        read_until(sock, b'"content":" 3"')
        os.kill(server.process.pid, signal.SIGTERM)
        started_at = time.monotonic()
        assert server.process.wait(timeout=5) == 0
        assert time.monotonic() - started_at < 1
    ends = [h for h in server.events() if h["event"] == "end"]
    assert [end["how"] for end in ends] == ["stopped", "stopped"]


def test_witness_file_matches_the_witness_endpoint(server: Server) -> None:
    with connect(server, "sim:count,tokens=3", id="filed") as sock:
        read_until(sock, b"[DONE]")
    report = server.report("filed")
    os.kill(server.process.pid, signal.SIGINT)
    assert server.process.wait(timeout=5) == 0
    events = server.events()
    assert [h["event"] for h in events] == ["begin", "head", "end", "closed"]
    assert events[0]["user"] == "filed"
    times = [report["began"], report["head_at"], report["ended_at"], report["closed_at"]]
    assert [h["t"] for h in events] == times
