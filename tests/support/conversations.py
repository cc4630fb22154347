"""Two-turn conversations on any surface: the client sends an answer back as it received it."""

import json
from typing import Any

import msgspec
from msgspec.structs import replace

from actors.turn.model_call import ModelCall
from tests.support import chat_readers, messages_readers
from tests.support.edge_harness import EdgeHarness
from web.config.provider_settings import formats

Object = dict[str, Any]
SURFACES = ("chat", "messages", "responses")
PATHS = {"chat": "chat/completions", "messages": "messages", "responses": "responses"}
SCHEMA = {"type": "object"}
TOOLS: dict[str, list[Object]] = {
    "chat": [{"type": "function", "function": {"name": "f", "parameters": SCHEMA}}],
    "messages": [{"name": "f", "input_schema": SCHEMA}],
    "responses": [{"type": "function", "name": "f", "parameters": SCHEMA}],
}


def request_of(surface: str, *messages: Object) -> Object:
    """Return a request with these messages, or items, after the user's."""
    history = [{"role": "user", "content": "Hi"}, *messages]
    named = {"input": history} if surface == "responses" else {"messages": history}
    limit = {"max_tokens": 100} if surface == "messages" else {}
    return {"model": "large", "tools": TOOLS[surface], **named, **limit}


async def answer_on(
    harness: EdgeHarness, surface: str, body: Object, *, stream: bool
) -> list[Object]:
    """Return the answer as the messages or items that a client sends back."""
    path = f"/v1/{PATHS[surface]}"
    response = await harness.post(path, json=body | {"stream": stream})
    assert response.status_code == 200, response.text
    document = None if stream else response.json()
    match surface:
        case "chat":
            given = document["choices"][0]["message"] if document else None
            return [given or _joined_chunks(response.content)]
        case "messages":
            if document is None:
                frames = messages_readers.frames_of(response.content)
                events = list(map(messages_readers.read_event, frames))
                document = messages_readers.accumulated(events).to_dict()
            return [{"role": "assistant", "content": document["content"]}]
        case _:
            if document is None:
                document = _last_response(response.content)
            return list(document["output"])


def results_for(surface: str, answer: list[Object]) -> list[Object]:
    """Return the messages or items with the results of an answer's calls."""
    match surface:
        case "chat":
            calls = answer[0].get("tool_calls") or ()
            return [{"role": "tool", "tool_call_id": c["id"], "content": "r"} for c in calls] or [
                {"role": "user", "content": "And?"}
            ]
        case "messages":
            calls = [one for one in answer[0]["content"] if one["type"] == "tool_use"]
            results = [
                {"type": "tool_result", "tool_use_id": c["id"], "content": "r"} for c in calls
            ]
            return [{"role": "user", "content": results or "And?"}]
        case _:
            calls = [one for one in answer if one["type"] == "function_call"]
            return [
                {"type": "function_call_output", "call_id": c["call_id"], "output": "r"}
                for c in calls
            ] or [{"role": "user", "content": "And?"}]


def _joined_chunks(stream: bytes) -> Object:
    """Return the message that a client accumulates: texts and lists grow, calls by their index."""
    message: Object = {"role": "assistant", "content": ""}
    calls: dict[int, Object] = {}
    for frame in chat_readers.frames_of(stream):
        choices = json.loads(frame.data)["choices"] if frame.data != "[DONE]" else []
        for name, value in choices[0]["delta"].items() if choices else ():
            if name == "tool_calls":
                for piece in value:
                    call = calls.setdefault(piece.pop("index"), {"function": {"arguments": ""}})
                    function = piece.pop("function")
                    call["function"]["arguments"] += function.pop("arguments", "")
                    call["function"] |= function
                    call |= piece
            elif isinstance(value, str | list) and name != "role":
                message[name] = message.get(name, type(value)()) + value
            else:
                message[name] = value
    return message | ({"tool_calls": list(calls.values())} if calls else {})


def _last_response(stream: bytes) -> Object:
    lines = [line for line in stream.decode().splitlines() if line.startswith("data: {")]
    return json.loads(lines[-1].removeprefix("data: "))["response"]  # type: ignore[no-any-return]


def body_for(format: str, call: ModelCall) -> dict[str, Any]:
    """Return the request that a provider of this format gets."""
    call = replace(call, upstream_model="gemini-3-pro" if format == "gemini" else "model-1")
    body: dict[str, Any] = msgspec.json.decode(formats()[format].format.build(call, None).body)
    return body


def has(sent: object, wanted: object) -> bool:
    """Return whether the wanted value, or one with more fields, is somewhere in the sent one."""
    if covers(sent, wanted):
        return True
    inner = sent.values() if isinstance(sent, dict) else sent if isinstance(sent, list) else ()
    return any(has(one, wanted) for one in inner)


def covers(sent: object, wanted: object) -> bool:
    if isinstance(wanted, dict) and isinstance(sent, dict):
        return all(covers(sent.get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list) and isinstance(sent, list) and len(wanted) == len(sent):
        return all(map(covers, sent, wanted))
    return sent == wanted
