"""A server with a provider for each wire format, and all that a client hears of one call."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.live.client import JSON, QUESTION, Call, calling, turn
from tests.live.frames import read_frames
from tests.live.harness import Process, Server, serving

BASE_PATHS = {
    "openai-chat": "/v1",
    "openai-responses": "/v1",
    "responses-ws": "/v1",
    "anthropic": "/v1",
    "gemini": "/v1beta",
    "ollama": "",
}
"""Where each format's calls go, below a provider that speaks all of them."""
WITHOUT_WIRE = "simulated"
"""The provider, and format, inside the process."""
_JSON_TYPE = (("Content-Type", "application/json"),)
_SERVICE = """
[providers.simulated]
format = "simulated"
[store]
url = "sqlite:///{directory}/trouper.db"
[breaker]
failures = 1000
[server]
bind = "127.0.0.1:0"
grace_s = 0
drain_s = 1
"""
_PROVIDER = """
[providers.{format}]
format = "{format}"
base_url = "http://127.0.0.1:{port}{path}"
api_key = "nobody-looks"
"""


@contextmanager
def serving_all_formats(directory: Path, upstream: int) -> Iterator[Server]:
    """A server whose providers, one for each format and named after it, lead to one port."""
    config = directory / "trouper.toml"
    providers = [
        _PROVIDER.format(format=format, port=upstream, path=path)
        for format, path in BASE_PATHS.items()
    ]
    config.write_text("".join([_SERVICE.format(directory=directory), *providers]))
    with serving(directory, config) as server:
        yield server


@dataclass(frozen=True)
class Outcome:
    """What is on record of a turn."""

    status: object
    reason: object
    usage: object
    text: object
    error: object
    attempts: list[tuple[object, object]]
    """The result of each, and the status code that the provider gave."""


@dataclass(frozen=True)
class Heard:
    """What a client is left with, and the record of it."""

    status: int
    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Names and arguments of the tools that are called."""
    finish: str | None = None
    usage: JSON | None = None
    error: JSON | None = None
    done: bool = False
    """Whether the client takes the answer for whole."""
    warnings: list[str] = field(default_factory=list)
    """Their codes; only streams tell them."""
    outcome: Outcome | None = None


async def hear(
    server: Process, model: str, *, stream: bool, parameters: Mapping[str, object]
) -> Heard:
    """Ask for a chat completion and listen to its end."""
    body: JSON = {"model": model, "messages": QUESTION, "stream": stream, **parameters}
    if stream:
        body["stream_options"] = {"include_usage": True}
    async with calling(server.port) as call:
        await call.ask("POST", "/v1/chat/completions", json.dumps(body).encode(), _JSON_TYPE)
        status = await call.head()
        answer = await call.rest()
        assert call.whole, answer[-200:]
    outcome = await _outcome(server, call)
    if status != 200:
        return Heard(status, error=json.loads(answer)["error"], outcome=outcome)
    if stream:
        return _listened(answer, outcome)
    return _read(json.loads(answer), outcome)


async def _outcome(server: Process, call: Call) -> Outcome:
    found = await turn(server, call.turn_id)
    attempts = found["attempts"]
    assert isinstance(attempts, list)
    return Outcome(
        found["status"],
        found["reason"],
        found["usage"],
        found["text"],
        found["error"],
        [(attempt["result"], attempt["status_code"]) for attempt in attempts],
    )


def _read(document: JSON, outcome: Outcome) -> Heard:
    choices, usage = document["choices"], document["usage"]
    assert isinstance(choices, list)
    assert isinstance(usage, dict)
    message = choices[0]["message"]
    calls = message.get("tool_calls", [])
    _check_ids([call["id"] for call in calls])
    return Heard(
        200,
        text=message["content"] or "",
        reasoning=message.get("reasoning_content", ""),
        refusal=message["refusal"] or "",
        calls=[(call["function"]["name"], call["function"]["arguments"]) for call in calls],
        finish=choices[0]["finish_reason"],
        usage=usage,
        done=True,
        outcome=outcome,
    )


def _listened(body: bytes, outcome: Outcome) -> Heard:
    frames = [frame.data for frame in read_frames(body)]
    objects = [json.loads(data) for data in frames if data != b"[DONE]"]
    choices = [choice for one in objects for choice in one.get("choices", ())]
    calls = _calls(choices)
    return Heard(
        200,
        text=_joined(choices, "content"),
        reasoning=_joined(choices, "reasoning_content"),
        refusal=_joined(choices, "refusal"),
        calls=calls,
        finish=choices[-1]["finish_reason"] if choices else None,
        usage=objects[-1].get("usage"),
        error=objects[-1].get("error"),
        done=frames[-1] == b"[DONE]",
        warnings=[
            line.split()[2].decode() for line in body.splitlines() if line.startswith(b": warning ")
        ],
        outcome=outcome,
    )


def _joined(choices: list[JSON], what: str) -> str:
    deltas = [choice["delta"] for choice in choices]
    return "".join(delta.get(what) or "" for delta in deltas if isinstance(delta, dict))


def _calls(choices: list[JSON]) -> list[tuple[str, str]]:
    """The calls that the pieces come to; each begins with its id and name, in order."""
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
