"""Tests that files, audio and other media of each surface reach every API that has them."""

import base64
import json
from typing import Any

import httpx
import pytest
from trio.testing import MockClock

from tests.support.chat_readers import comments_of
from tests.support.conversations import PATHS, SURFACES, body_for, has
from tests.support.edge_harness import EdgeHarness, open_harness
from tests.support.responses_requests import last_call
from tests.support.turn_fakes import ScriptedProvider, stop, text

Object = dict[str, Any]
PDF = "JVBERi0xLjQK"
PDF_URL = f"data:application/pdf;base64,{PDF}"
LINK = "https://example.org/a.pdf"
PHOTO = "https://example.org/a.png"
PNG = "iVBORw0KGgo="
PICTURE = f"data:image/png;base64,{PNG}"
WORDS = "some words"
PLAIN = base64.b64encode(WORDS.encode()).decode()
WAV = "UklGRg=="


def document(source: str, **fields: object) -> Object:
    return {"type": "document", "source": {"type": source, **fields}}


INPUT: dict[str, dict[str, Object]] = {
    "pdf": {
        "chat": {"type": "file", "file": {"file_data": PDF_URL, "filename": "a.pdf"}},
        "responses": {"type": "input_file", "file_data": PDF_URL, "filename": "a.pdf"},
        "messages": document("base64", media_type="application/pdf", data=PDF) | {"title": "a.pdf"},
    },
    "pdf at a URL": {
        "responses": {"type": "input_file", "file_url": LINK},
        "messages": document("url", url=LINK),
    },
    "uploaded file": {
        "chat": {"type": "file", "file": {"file_id": "file_1"}},
        "responses": {"type": "input_file", "file_id": "file_1"},
    },
    "uploaded document": {"messages": document("file", file_id="file_1")},
    "uploaded image": {
        "messages": {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
    },
    "uploaded input image": {"responses": {"type": "input_image", "file_id": "file_1"}},
    "text file": {
        "chat": {"type": "file", "file": {"file_data": f"data:text/plain;base64,{PLAIN}"}},
        "responses": {"type": "input_file", "file_data": f"data:text/plain;base64,{PLAIN}"},
        "messages": document("base64", media_type="text/plain", data=PLAIN),
    },
    "text document": {"messages": document("text", media_type="text/plain", data=WORDS)},
    "document of blocks": {
        "messages": document("content", content=[{"type": "text", "text": WORDS}])
    },
    "search result": {
        "messages": {
            "type": "search_result",
            "source": LINK,
            "title": "t",
            "content": [{"type": "text", "text": WORDS}],
        }
    },
    "tool reference": {"messages": {"type": "tool_reference", "tool_name": WORDS}},
    "audio": {
        "chat": {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        "responses": {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
    },
    "video": {
        "chat": {"type": "video_url", "video_url": {"url": "https://example.org/a.mp4"}},
        "responses": {"type": "input_video", "video_url": "https://example.org/a.mp4"},
    },
    "image file": {
        "chat": {"type": "file", "file": {"file_data": f"data:image/png;base64,{PNG}"}},
        "responses": {"type": "input_file", "file_data": f"data:image/png;base64,{PNG}"},
    },
    "image in full size": {
        "responses": {"type": "input_image", "image_url": PICTURE, "detail": "original"}
    },
    "image at a URL": {
        "chat": {"type": "image_url", "image_url": {"url": PHOTO}},
        "responses": {"type": "input_image", "image_url": PHOTO},
        "messages": {"type": "image", "source": {"type": "url", "url": PHOTO}},
    },
    "image of another type": {
        "chat": {"type": "image_url", "image_url": {"url": f"data:image/heic;base64,{PNG}"}},
        "responses": {"type": "input_image", "image_url": f"data:image/heic;base64,{PNG}"},
    },
    "file without a name": {
        "responses": {"type": "input_file", "file_data": f"data:application/msword;base64,{PNG}"},
        "messages": document("base64", media_type="application/msword", data=PNG),
    },
    "image in a document": {
        "messages": document(
            "content",
            content=[{"type": "image", "source": {"type": "url", "url": PHOTO}}],
        )
    },
}
"""Each kind of medium in the form of each surface that has it."""

AS_TEXT = {"text": WORDS}
TAKING_FILES = ("gemini", "openai-chat", "openai-responses")
OUTPUT: dict[str, dict[str, Object | str]] = {
    "pdf": {
        "anthropic": INPUT["pdf"]["messages"],
        "gemini": {"inlineData": {"mimeType": "application/pdf", "data": PDF}},
        "openai-chat": INPUT["pdf"]["chat"],
        "openai-responses": INPUT["pdf"]["responses"],
    },
    "pdf at a URL": {
        "anthropic": INPUT["pdf at a URL"]["messages"],
        "gemini": {"fileData": {"fileUri": LINK, "mimeType": "application/pdf"}},
        "openai-responses": INPUT["pdf at a URL"]["responses"],
    },
    "uploaded file": {
        "openai-chat": INPUT["uploaded file"]["chat"],
        "openai-responses": INPUT["uploaded file"]["responses"],
    },
    "uploaded document": {"anthropic": INPUT["uploaded document"]["messages"]},
    "uploaded image": {"anthropic": INPUT["uploaded image"]["messages"]},
    "uploaded input image": {"openai-responses": INPUT["uploaded input image"]["responses"]},
    "text file": {
        "anthropic": document("text", data=WORDS),
        "gemini": {"inlineData": {"mimeType": "text/plain", "data": PLAIN}},
        "openai-chat": WORDS,
        "ollama": WORDS,
        "openai-responses": INPUT["text file"]["responses"],
    },
    "text document": {"anthropic": INPUT["text document"]["messages"], "": WORDS},
    "document of blocks": {"anthropic": INPUT["document of blocks"]["messages"], "": WORDS},
    "search result": {"anthropic": INPUT["search result"]["messages"], "": WORDS},
    "tool reference": {"anthropic": INPUT["tool reference"]["messages"], "": WORDS},
    "audio": {
        "gemini": {"inlineData": {"mimeType": "audio/wav", "data": WAV}},
        "openai-chat": INPUT["audio"]["chat"],
        "openai-responses": INPUT["audio"]["responses"],
    },
    "video": {
        "gemini": {"fileData": {"fileUri": "https://example.org/a.mp4", "mimeType": "video/mp4"}},
        "openai-chat": INPUT["video"]["chat"],
    },
    "image file": {"": PNG},
    "image in full size": {
        "openai-chat": {"image_url": {"url": PICTURE, "detail": "high"}},
        "openai-responses": INPUT["image in full size"]["responses"],
        "": PNG,
    },
    "image at a URL": dict.fromkeys(("anthropic", *TAKING_FILES), PHOTO),
    "image of another type": dict.fromkeys(("ollama", *TAKING_FILES), PNG),
    "file without a name": {
        **dict.fromkeys(TAKING_FILES, PNG),
        "openai-responses": {"type": "input_file", "filename": "document.doc"},
    },
    "image in a document": {
        "anthropic": PHOTO,
        **dict.fromkeys(TAKING_FILES, "Here was an image"),
    },
}
"""Objects, or texts, that each API gets; others get the one of `""`, or lack the medium."""

FORMATS = ("anthropic", "gemini", "ollama", "openai-chat", "openai-responses")
ALL = [(kind, surface) for kind, forms in INPUT.items() for surface in forms]


def asked(surface: str, *messages: Object) -> Object:
    named = {"input": messages} if surface == "responses" else {"messages": messages}
    return (
        {"model": "large", "max_tokens": 100, **named}
        if surface == "messages"
        else {
            "model": "large",
            **named,
        }
    )


def user(part: Object) -> Object:
    return {"role": "user", "content": [part]}


async def post(harness: EdgeHarness, surface: str, body: Object) -> httpx.Response:
    return await harness.post(f"/v1/{PATHS[surface]}", json=body)


def provider(format: str) -> dict[str, object]:
    return {"main": {"format": format, "base_url": "http://up.test/v1", "api_key": "k" * 20}}


def reaches(body: Object, wanted: Object | str) -> bool:
    return wanted in json.dumps(body) if isinstance(wanted, str) else has(body, wanted)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("kind", "surface"), ALL)
async def test_media_reach_the_apis_that_have_them(
    kind: str, surface: str, format: str, autojump_clock: MockClock
) -> None:
    wanted = OUTPUT[kind].get(format) or OUTPUT[kind].get("")
    scripted = ScriptedProvider(text("ok"), stop())
    async with open_harness(scripted, providers=provider(format)) as harness:
        answer = await post(harness, surface, asked(surface, user(INPUT[kind][surface])))
        if wanted is None:
            where = "input" if surface == "responses" else "messages"
            assert answer.status_code == 400
            assert f"{where}[0].content[0]" in answer.text
            assert not scripted.calls
        else:
            assert answer.status_code == 200, answer.text
            assert reaches(body_for(format, last_call(harness)), wanted)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("kind", "surface"), ALL)
async def test_media_that_no_route_has_become_text_in_earlier_messages(
    kind: str, surface: str, format: str, autojump_clock: MockClock
) -> None:
    wanted = OUTPUT[kind].get(format) or OUTPUT[kind].get("")
    later = [{"role": "assistant", "content": "Seen."}, {"role": "user", "content": "And?"}]
    request = asked(surface, user(INPUT[kind][surface]), *later)
    async with open_harness(
        ScriptedProvider(text("ok"), stop()), providers=provider(format)
    ) as harness:
        answer = await post(harness, surface, request | {"stream": True})
        assert answer.status_code == 200
        sent = body_for(format, last_call(harness))
        replaced = any("media_replaced" in comment for comment in comments_of(answer.content))
        assert replaced is (wanted is None)
        assert reaches(sent, "which this model cannot read" if wanted is None else wanted)
        strict = await post(harness, surface, request | {"strict": True})
        assert strict.status_code == (400 if wanted is None else 200)


@pytest.mark.parametrize("surface", SURFACES)
async def test_routes_without_files_are_skipped(surface: str, autojump_clock: MockClock) -> None:
    first = ScriptedProvider(text("no"), stop(), name="first")
    second = ScriptedProvider(text("yes"), stop(), name="second")
    third = ScriptedProvider(text("yes"), stop(), name="third")
    routes = [{"route": "first/m", "capabilities": ["images"]}, "second/m", "third/m"]
    formats = {"first": "gemini", "second": "ollama", "third": "gemini"}
    providers = {name: provider(format)["main"] for name, format in formats.items()}
    models: dict[str, object] = {"large": {"routes": routes}}
    async with open_harness(first, second, third, providers=providers, models=models) as harness:
        answer = await post(harness, surface, asked(surface, user(INPUT["pdf"][surface])))
        assert answer.headers["x-trouper-route"] == "third/m"
        assert not first.calls
        assert not second.calls
        turn = await harness.get(f"/v1/turns/{answer.headers['x-turn-id']}")
        assert [one["message"] for one in turn.json()["attempts"]] == ["no_files"] * 2 + [None]


@pytest.mark.parametrize("format", FORMATS)
async def test_media_in_tool_results(format: str, autojump_clock: MockClock) -> None:
    call: Object = {"type": "tool_use", "id": "t1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [INPUT["pdf"]["messages"]]}
    messages: list[Object] = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [call]},
    ]
    request = asked("messages", *messages, {"role": "user", "content": [result]})
    async with open_harness(
        ScriptedProvider(text("ok"), stop()), providers=provider(format)
    ) as harness:
        answer = await post(harness, "messages", request)
        if format == "ollama":
            assert answer.status_code == 400
            assert "messages[2].content[0].content[0]" in answer.text
        else:
            assert answer.status_code == 200
            assert reaches(body_for(format, last_call(harness)), PDF)
