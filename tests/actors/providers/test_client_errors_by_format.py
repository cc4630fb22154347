"""The client's error for the same problem is the same, whichever format the provider has."""

import json
import time
from collections.abc import Callable

import httpx
import pytest

from actors.attempts.client_errors import client_error
from actors.providers.formats.base import Decoder
from actors.providers.http.failures import status_failure
from actors.providers.responses_websocket import MessageReader
from actors.turn.model_call import UpstreamFailure
from web.config import formats

Body = dict[str, object]
TOO_LONG = "prompt is too long: 9 tokens > 8 maximum"
FLAGGED = "Your input was flagged for violence."


def openai(message: str, type: str, code: str | int | None = None) -> Body:
    return {"error": {"message": message, "type": type, "param": None, "code": code}}


def anthropic(message: str, type: str) -> Body:
    return {"type": "error", "error": {"type": type, "message": message}}


def gemini(message: str, code: int, status: str) -> Body:
    return {"error": {"code": code, "message": message, "status": status}}


def event(name: str, data: Body) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), json.dumps(data).encode())


def data(body: Body) -> bytes:
    return b"data: %b\n\n" % json.dumps(body).encode()


def line(body: Body) -> bytes:
    return json.dumps(body).encode() + b"\n"


def failed(message: str, code: str) -> bytes:
    response = {"id": "r", "status": "failed", "error": {"code": code, "message": message}}
    return event("response.failed", {"type": "response.failed", "response": response})


LIMITED = "Rate limit reached. Please slow down."
OVERFLOW = (400, "invalid_request_error", "context_length_exceeded")
RATE = (429, "rate_limit_error", "rate_limit_exceeded")
REFUSED = (400, "invalid_request_error", "content_filter")
INVALID = (400, "invalid_request_error", "rejected")

RESPONSES: list[tuple[str, int, Body, tuple[int, str, str]]] = [
    ("openai-chat", 400, openai(TOO_LONG, "invalid_request_error"), OVERFLOW),
    (
        "openai-chat",
        400,
        openai("No.", "invalid_request_error", "context_length_exceeded"),
        OVERFLOW,
    ),
    ("anthropic", 400, anthropic(TOO_LONG, "invalid_request_error"), OVERFLOW),
    ("gemini", 400, gemini(TOO_LONG, 400, "INVALID_ARGUMENT"), OVERFLOW),
    ("ollama", 400, {"error": TOO_LONG}, OVERFLOW),
    ("ollama", 500, {"error": TOO_LONG}, OVERFLOW),
    ("openai-chat", 429, openai(LIMITED, "tokens", "rate_limit_exceeded"), RATE),
    ("openai-chat", 429, openai(LIMITED, "requests", "429"), RATE),
    ("anthropic", 429, anthropic(LIMITED, "rate_limit_error"), RATE),
    ("gemini", 429, gemini(LIMITED, 429, "RESOURCE_EXHAUSTED"), RATE),
    ("ollama", 429, {"error": LIMITED}, RATE),
    ("openai-chat", 403, openai(FLAGGED, "", 403), (403, *REFUSED[1:])),
    ("anthropic", 400, anthropic(FLAGGED, "invalid_request_error"), REFUSED),
    ("gemini", 400, gemini(FLAGGED, 400, "INVALID_ARGUMENT"), REFUSED),
    ("openai-chat", 400, openai("Wrong.", "invalid_request_error"), INVALID),
    ("anthropic", 400, anthropic("Wrong.", "invalid_request_error"), INVALID),
    ("gemini", 400, gemini("Wrong.", 400, "INVALID_ARGUMENT"), INVALID),
    ("ollama", 400, {"error": "Wrong."}, INVALID),
    (
        "anthropic",
        529,
        anthropic("Overloaded", "overloaded_error"),
        (529, "upstream_error", "server_error"),
    ),
    (
        "gemini",
        503,
        gemini("Overloaded", 503, "UNAVAILABLE"),
        (503, "upstream_error", "server_error"),
    ),
    ("gemini", 500, gemini("Oh.", 500, "INTERNAL"), (502, "upstream_error", "server_error")),
    ("anthropic", 500, anthropic("Oh.", "api_error"), (502, "upstream_error", "server_error")),
    (
        "anthropic",
        401,
        anthropic("No.", "authentication_error"),
        (502, "upstream_error", "rejected"),
    ),
    (
        "gemini",
        403,
        gemini("No.", 403, "PERMISSION_DENIED"),
        (403, "invalid_request_error", "rejected"),
    ),
]


@pytest.mark.parametrize(("format", "status", "body", "expected"), RESPONSES)
def test_error_response_has_one_meaning_in_every_format(
    format: str, status: int, body: Body, expected: tuple[int, str, str]
) -> None:
    response = httpx.Response(status)
    failure = status_failure(response, json.dumps(body).encode(), str, time.time)
    assert kind_of(failure) == expected


STREAMS: list[tuple[str, bytes, tuple[int, str, str]]] = [
    ("openai-chat", data(openai(TOO_LONG, "invalid_request_error", 400)), OVERFLOW),
    ("openai-chat", data({"error": TOO_LONG}), OVERFLOW),
    ("openai-responses", failed(TOO_LONG, "server_error"), OVERFLOW),
    ("openai-responses", failed("No.", "context_length_exceeded"), OVERFLOW),
    ("responses-ws", line({"type": "error", "status": 400, **openai(TOO_LONG, "x")}), OVERFLOW),
    ("anthropic", event("error", anthropic(TOO_LONG, "invalid_request_error")), OVERFLOW),
    ("gemini", data(gemini(TOO_LONG, 400, "INVALID_ARGUMENT")), OVERFLOW),
    ("ollama", line({"error": TOO_LONG}), OVERFLOW),
    ("openai-chat", data(openai(LIMITED, "x", 429)), RATE),
    ("openai-chat", data(openai(LIMITED, "rate_limit_error")), RATE),
    ("openai-responses", failed(LIMITED, "rate_limit_exceeded"), RATE),
    ("responses-ws", line({"type": "error", "status": 429, **openai(LIMITED, "x")}), RATE),
    ("anthropic", event("error", anthropic(LIMITED, "rate_limit_error")), RATE),
    ("gemini", data(gemini(LIMITED, 429, "RESOURCE_EXHAUSTED")), RATE),
    ("openai-chat", data(openai(FLAGGED, "", 403)), (403, *REFUSED[1:])),
    ("openai-responses", failed("No.", "content_filter"), REFUSED),
    (
        "anthropic",
        event("error", anthropic("Wrong.", "invalid_request_error")),
        (400, INVALID[1], "in_stream_error"),
    ),
    (
        "gemini",
        data(gemini("Wrong.", 400, "INVALID_ARGUMENT")),
        (400, INVALID[1], "in_stream_error"),
    ),
    (
        "anthropic",
        event("error", anthropic("Overloaded", "overloaded_error")),
        (529, "upstream_error", "in_stream_error"),
    ),
    (
        "openai-chat",
        data(openai("Overloaded", "overloaded_error")),
        (529, "upstream_error", "in_stream_error"),
    ),
    (
        "gemini",
        data(gemini("Overloaded", 503, "UNAVAILABLE")),
        (503, "upstream_error", "in_stream_error"),
    ),
    ("ollama", line({"error": "Oh."}), (502, "upstream_error", "in_stream_error")),
]


@pytest.mark.parametrize(("format", "frame", "expected"), STREAMS)
def test_error_in_a_stream_has_the_meaning_of_an_error_response(
    format: str, frame: bytes, expected: tuple[int, str, str]
) -> None:
    with pytest.raises(UpstreamFailure) as caught:
        decoder_of(format)(str).feed(frame)
    assert kind_of(caught.value) == expected


def decoder_of(format: str) -> Callable[[Callable[[str], str]], Decoder]:
    return MessageReader if format == "responses-ws" else formats()[format].format.stream_decoder


def kind_of(failure: UpstreamFailure) -> tuple[int, str, str | None]:
    error = client_error(failure)
    assert failure.message.rstrip(".") in error.message
    return error.status, error.type, error.code
