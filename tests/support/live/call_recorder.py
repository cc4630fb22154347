"""Records one chat completion: the client's view of it, and the stored turn.

`serving_all_formats` runs a server with one provider per wire format.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.live.harness import Process, Server, serving
from tests.support.live.http_client import JSON, QUESTION, Call, calling, turn
from tests.support.live.sse_frames import read_frames

BASE_PATHS = {
    "openai-chat": "/v1",
    "openai-responses": "/v1",
    "responses-ws": "/v1",
    "anthropic": "/v1",
    "gemini": "/v1beta",
    "ollama": "",
}
"""Base path of each wire format at an upstream that serves all of them."""
IN_PROCESS = "simulated"
"""Name of the in-process provider, and of its format, which needs no wire."""
_JSON_TYPE = (("Content-Type", "application/json"),)
_SERVICE = """
[providers.simulated]
format = "simulated"
[store]
url = "sqlite:///{directory}/trouper.db"
[breaker]
minimum_requests = 1000
[server]
bind = "127.0.0.1:0"
grace_s = 0
drain_s = 1
"""
_PROVIDER = """
[providers.{format}]
format = "{format}"
base_url = "http://127.0.0.1:{port}{path}"
api_key = "unchecked"
"""


@contextmanager
def serving_all_formats(directory: Path, upstream: int) -> Iterator[Server]:
    """Run a server with one provider per format, named after it, all on one upstream port."""
    config = directory / "trouper.toml"
    providers = [
        _PROVIDER.format(format=format, port=upstream, path=path)
        for format, path in BASE_PATHS.items()
    ]
    config.write_text("".join([_SERVICE.format(directory=directory), *providers]))
    with serving(directory, config) as server:
        yield server


@dataclass(frozen=True)
class TurnRecord:
    """The stored record of a turn."""

    status: object
    reason: object
    usage: object
    text: object
    error: object
    attempts: list[tuple[object, object]]
    """Result and upstream status code of each attempt."""


@dataclass(frozen=True)
class RecordedCall:
    """A finished call as the client saw it, with the stored record."""

    status: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Name and arguments of each tool call."""
    finish: str | None = None
    usage: JSON | None = None
    error: JSON | None = None
    done: bool = False
    """True if the client sees the answer as complete."""
    warnings: list[str] = field(default_factory=list)
    """Codes of the warnings, which only streams carry."""
    record: TurnRecord | None = None


async def record_call(
    server: Process, model: str, *, stream: bool, parameters: Mapping[str, object]
) -> RecordedCall:
    """Request a chat completion, read it to the end, and return what the client received."""
    body: JSON = {"model": model, "messages": QUESTION, "stream": stream, **parameters}
    if stream:
        body["stream_options"] = {"include_usage": True}
    async with calling(server.port) as call:
        await call.request("POST", "/v1/chat/completions", json.dumps(body).encode(), _JSON_TYPE)
        status = await call.head()
        answer = await call.read_all()
        assert call.complete, answer[-200:]
    record = await _fetch_record(server, call)
    if status != 200:
        return RecordedCall(status, error=json.loads(answer)["error"], record=record)
    if stream:
        return _from_stream(answer, record)
    return _from_document(json.loads(answer), record)


async def _fetch_record(server: Process, call: Call) -> TurnRecord:
    found = await turn(server, call.turn_id)
    attempts = found["attempts"]
    assert isinstance(attempts, list)
    return TurnRecord(
        found["status"],
        found["reason"],
        found["usage"],
        found["text"],
        found["error"],
        [(attempt["result"], attempt["status_code"]) for attempt in attempts],
    )


def _from_document(document: JSON, record: TurnRecord) -> RecordedCall:
    choices, usage = document["choices"], document["usage"]
    assert isinstance(choices, list)
    assert isinstance(usage, dict)
    message = choices[0]["message"]
    calls = message.get("tool_calls", [])
    _check_ids([call["id"] for call in calls])
    return RecordedCall(
        200,
        text=message["content"] or "",
        reasoning=message.get("reasoning_content", ""),
        refusal=message["refusal"] or "",
        calls=[(call["function"]["name"], call["function"]["arguments"]) for call in calls],
        finish=choices[0]["finish_reason"],
        usage=usage,
        done=True,
        record=record,
    )


def _from_stream(body: bytes, record: TurnRecord) -> RecordedCall:
    frames = [frame.data for frame in read_frames(body)]
    objects = [json.loads(data) for data in frames if data != b"[DONE]"]
    choices = [choice for one in objects for choice in one.get("choices", ())]
    calls = _calls(choices)
    return RecordedCall(
        200,
        text=_join(choices, "content"),
        reasoning=_join(choices, "reasoning_content"),
        refusal=_join(choices, "refusal"),
        calls=calls,
        finish=choices[-1]["finish_reason"] if choices else None,
        usage=objects[-1].get("usage"),
        error=objects[-1].get("error"),
        done=frames[-1] == b"[DONE]",
        warnings=[
            line.split()[2].decode() for line in body.splitlines() if line.startswith(b": warning ")
        ],
        record=record,
    )


def _join(choices: list[JSON], key: str) -> str:
    deltas = [choice["delta"] for choice in choices]
    return "".join(delta.get(key) or "" for delta in deltas if isinstance(delta, dict))


def _calls(choices: list[JSON]) -> list[tuple[str, str]]:
    """Join the streamed deltas of tool calls; assert that each starts with its id and name."""
    calls: list[tuple[str, str]] = []
    ids: list[str] = []
    for choice in choices:
        delta = choice["delta"]
        assert isinstance(delta, dict)
        for piece in delta.get("tool_calls", ()):
            function = piece["function"]
            if piece["index"] == len(calls):
                ids.append(piece["id"])
                calls.append((function["name"], ""))
            name, arguments = calls[piece["index"]]
            calls[piece["index"]] = name, arguments + function["arguments"]
    _check_ids(ids)
    return calls


def _check_ids(ids: list[str]) -> None:
    assert all(ids)
    assert len(set(ids)) == len(ids)
