"""Tests of Gemini requests, validated by the SDK's types, which forbid unknown fields."""

from typing import Any

import msgspec
import pydantic
import pytest
from google.genai import types
from hypothesis import given

from actors.providers.formats.gemini.decoder import GEMINI
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from tests.support.malformed_calls import any_calls, check_builds

USER: dict[str, object] = {"role": "user", "content": "Who is on stage?"}
ASKED = {"role": "user", "parts": [{"text": "Who is on stage?"}]}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
_OF_REQUEST = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": list[types.SafetySetting],
    "cachedContent": str,
}
"""SDK types of the fields of a request."""


def call(*messages: Any, model: str = "gemini-2.5-flash", **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model=model,
        messages=read_messages(list(messages) or [USER]),
        parameters=parameters,
    )


def built(asked: ModelCall) -> dict[str, Any]:
    """Return the request body, validated by the SDK's types."""
    document = msgspec.json.decode(GEMINI.build(asked, None).body, type=dict[str, Any])
    for field, value in document.items():
        pydantic.TypeAdapter[Any](_OF_REQUEST[field]).validate_python(value)
    return document


def contents(*messages: Any, model: str = "gemini-2.5-flash") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = built(call(*messages, model=model))["contents"]
    return found


def settings(**parameters: Any) -> dict[str, Any]:
    found: dict[str, Any] = built(call(**parameters)).get("generationConfig", {})
    return found


def left_out(*messages: Any, **parameters: Any) -> tuple[str, ...]:
    asked = call(*messages, **parameters)
    built(asked)
    return GEMINI.unsupported(asked)


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash"),
        ("tunedModels/mine", "/tunedModels/mine"),
        ("sim:tool=2", "/models/sim%3Atool%3D2"),
        ("../../admin?x#y", "/models/..%2F..%2Fadmin%3Fx%23y"),
        ("models/a/b", "/models/a%2Fb"),
        ("ü é", "/models/%C3%BC%20%C3%A9"),
    ],
)
def test_the_model_is_in_the_path(model: str, path: str) -> None:
    parts = GEMINI.build(call(model=model), None)
    assert parts.path == f"{path}:streamGenerateContent?alt=sse"


def test_the_key_is_in_a_header() -> None:
    assert dict(GEMINI.build(call(), "k1").headers)["x-goog-api-key"] == "k1"
    assert "x-goog-api-key" not in dict(GEMINI.build(call(), None).headers)


def test_a_question() -> None:
    assert built(call()) == {"contents": [ASKED]}
    assert left_out() == ()


def test_system_messages_are_the_system_instruction() -> None:
    document = built(
        call(
            {"role": "system", "content": "Be brief."}, USER, {"role": "developer", "content": "x"}
        )
    )
    assert document["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "x"}]}
    assert document["contents"] == [ASKED]


def test_adjacent_messages_of_one_role_are_merged() -> None:
    assert contents(
        USER,
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": ""}]},
        {"role": "assistant", "content": "Once", "refusal": "no"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "never"}]},
        {"role": "user", "content": ""},
        {"role": "assistant", "content": " upon"},
    ) == [
        {"role": "user", "parts": [{"text": "Who is on stage?"}, {"text": "a"}]},
        {
            "role": "model",
            "parts": [{"text": "Once"}, {"text": "no"}, {"text": "never"}, {"text": " upon"}],
        },
    ]


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("data:image/png;base64,aGk=", {"inlineData": {"mimeType": "image/png", "data": "aGk="}}),
        (
            "https://x.org/a/b.JPG?c=d.e",
            {"fileData": {"fileUri": "https://x.org/a/b.JPG?c=d.e", "mimeType": "image/jpeg"}},
        ),
        ("https://x.org/image", {"fileData": {"fileUri": "https://x.org/image"}}),
        (
            "gs://bucket/a.pdf",
            {"fileData": {"fileUri": "gs://bucket/a.pdf", "mimeType": "application/pdf"}},
        ),
    ],
)
def test_images(url: str, part: dict[str, Any]) -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    assert contents(message) == [{"role": "user", "parts": [part]}]
    assert left_out(message) == ()


def test_other_media() -> None:
    audio = {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}}
    pdf = {"type": "file", "file": {"file_data": "data:application/pdf;base64,aGk="}}
    message = {"role": "user", "content": [audio, pdf]}
    assert contents(message)[0]["parts"] == [
        {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}},
        {"inlineData": {"mimeType": "application/pdf", "data": "aGk="}},
    ]


def test_unsupported_parts_are_reported() -> None:
    message = {
        "role": "user",
        "name": "Ann",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "image_url", "image_url": {"url": "ftp://x.org/a.png"}},
            {"type": "image_url", "image_url": {"url": "https://x.org/a.png", "detail": "high"}},
            {"type": "file", "file": {"file_id": "f1"}},
            "b",
        ],
    }
    assert left_out(USER, message, {"role": "narrator", "content": "x"}) == (
        "messages[1].name",
        "messages[1].content[1]",
        "messages[1].content[2].image_url.detail",
        "messages[1].content[3]",
        "messages[1].content[4]",
        "messages[2].role",
    )


def tool_call(id: str, name: str, arguments: str = "{}", **more: Any) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return {"id": id, "type": "function", "function": function, **more}


def test_tool_calls_and_their_results() -> None:
    asked = (
        USER,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [tool_call("c1", "f", '{"a":[1.5]}'), tool_call("c2", "g", "")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": '{"b"'}, {"type": "text", "text": ":2}"}],
        },
    )
    assert contents(*asked) == [
        ASKED,
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "f", "args": {"a": [1.5]}, "id": "c1"}},
                {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "name": "f",
                        "response": {"output": "Rain."},
                        "id": "c1",
                    }
                },
                {"functionResponse": {"name": "g", "response": {"b": 2}, "id": "c2"}},
            ],
        },
    ]
    assert left_out(*asked) == ()


def test_the_first_call_of_a_message_is_signed_for_newer_models() -> None:
    def signatures(model: str, *calls: dict[str, Any]) -> list[str | None]:
        (_, said) = contents(USER, {"role": "assistant", "tool_calls": list(calls)}, model=model)
        return [part.get("thoughtSignature") for part in said["parts"]]

    known = tool_call("c1", "f", extra_content={"google": {"thought_signature": "c2ln"}})
    unsigned = "skip_thought_signature_validator"
    two = tool_call("c1", "f"), tool_call("c2", "g")
    for model in ("gemini-3-pro", "models/gemini-4", "gemini-flash-latest"):
        assert signatures(model, *two) == [unsigned, None]
        assert signatures(model, known, two[1]) == ["c2ln", None]
    for model in ("gemini-2.5-flash", "models/gemini-1.5-pro"):
        assert signatures(model, *two) == [None, None]
        assert signatures(model, known) == ["c2ln"]


def test_orphaned_results_and_invalid_calls_are_reported() -> None:
    asked = (
        {
            "role": "assistant",
            "content": "x",
            "tool_calls": [5, tool_call("c1", "f", '{"a":'), tool_call("c2", "g", "[1]")],
        },
        {"role": "tool", "tool_call_id": "lost", "content": "a"},
        {"role": "tool", "tool_call_id": "other", "name": "h", "content": "a"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "image_url"}]},
    )
    assert left_out(*asked) == (
        "messages[0].tool_calls[0]",
        "messages[0].tool_calls[1].function.arguments",
        "messages[0].tool_calls[2].function.arguments",
        "messages[1].tool_call_id",
        "messages[3].content[0]",
    )
    names = [part["functionResponse"]["name"] for part in contents(*asked)[-1]["parts"]]
    assert names == ["lost", "h", "f"]


def test_sampling() -> None:
    assert settings(
        temperature=0,
        top_p=0.5,
        top_k=3,
        seed=7,
        presence_penalty=0.5,
        frequency_penalty=-0.5,
        max_tokens=5,
        stop="END",
        logprobs=True,
        top_logprobs=2,
    ) == {
        "temperature": 0,
        "topP": 0.5,
        "topK": 3,
        "seed": 7,
        "presencePenalty": 0.5,
        "frequencyPenalty": -0.5,
        "maxOutputTokens": 5,
        "stopSequences": ["END"],
        "responseLogprobs": True,
        "logprobs": 2,
    }
    assert settings(max_completion_tokens=6, max_tokens=5) == {"maxOutputTokens": 6}
    assert settings(stop=["a", "b"]) == {"stopSequences": ["a", "b"]}
    assert settings(n=1, temperature=None, parallel_tool_calls=True, logprobs=False) == {}


def test_response_formats() -> None:
    assert settings(response_format={"type": "text"}) == {}
    json = {"responseMimeType": "application/json"}
    assert settings(response_format={"type": "json_object"}) == json
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER}}
    assert settings(response_format=schema) == json | {"responseJsonSchema": WEATHER}
    assert left_out(response_format={"type": "grammar"}) == ("response_format",)


@pytest.mark.parametrize(
    ("effort", "config"),
    [
        ("none", {"thinkingBudget": 0}),
        ("minimal", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("low", {"includeThoughts": True, "thinkingBudget": 1024}),
        ("medium", {"includeThoughts": True, "thinkingBudget": 8192}),
        ("high", {"includeThoughts": True, "thinkingBudget": 24576}),
    ],
)
def test_reasoning_effort(effort: str, config: dict[str, Any]) -> None:
    assert settings(reasoning_effort=effort) == {"thinkingConfig": config}
    assert settings(reasoning={"effort": effort}) == {"thinkingConfig": config}


def test_native_parameters_pass_through() -> None:
    own = {"includeThoughts": False, "thinkingLevel": "LOW"}
    for order in (
        {"reasoning_effort": "high", "thinkingConfig": own},
        {"thinkingConfig": own, "reasoning_effort": "high"},
    ):
        assert settings(**order) == {"thinkingConfig": own}
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    asked = call(safetySettings=safety, cachedContent="cachedContents/1", topK=4)
    assert built(asked) == {
        "contents": [ASKED],
        "safetySettings": safety,
        "cachedContent": "cachedContents/1",
        "generationConfig": {"topK": 4},
    }
    assert GEMINI.unsupported(asked) == ()


TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": WEATHER}}


def test_tools() -> None:
    strict = {"type": "function", "function": {"name": "g", "strict": True}}
    document = built(call(tools=[TOOL, strict, {"type": "custom", "custom": {}}]))
    assert document["tools"] == [
        {
            "functionDeclarations": [
                {"name": "f", "description": "d", "parametersJsonSchema": WEATHER},
                {"name": "g"},
            ]
        }
    ]
    assert left_out(tools=[TOOL, strict, {"type": "custom", "custom": {}}, 5, {}]) == (
        "tools[1].function.strict",
        "tools[2]",
        "tools[3]",
        "tools[4]",
    )
    search: dict[str, Any] = {"googleSearch": {}}
    assert built(call(tools=[search]))["tools"] == [search]
    assert left_out(tools=[search, TOOL]) == ()


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        (
            {"type": "function", "function": {"name": "f"}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOL, 5]}},
            {"mode": "ANY", "allowedFunctionNames": ["f"]},
        ),
        (
            {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TOOL]}},
            {"mode": "VALIDATED", "allowedFunctionNames": ["f"]},
        ),
    ],
)
def test_tool_choice(choice: Any, config: dict[str, Any]) -> None:
    document = built(call(tools=[TOOL], tool_choice=choice))
    assert document["toolConfig"] == {"functionCallingConfig": config}


def test_unsupported_parameters_are_reported_and_left_out() -> None:
    parameters: dict[str, Any] = {
        "logit_bias": {"1": 1},
        "parallel_tool_calls": False,
        "n": 2,
        "user": "u",
        "metadata": {"a": "b"},
        "tool_choice": {"type": "custom"},
        "reasoning_effort": "odd",
        "odd": [1],
    }
    assert left_out(tools=[TOOL], **parameters) == tuple(parameters)
    assert built(call(tools=[TOOL], **parameters)).keys() == {"contents", "tools"}


@given(any_calls("thinkingConfig"))
def test_arbitrary_calls_do_not_crash(asked: ModelCall) -> None:
    check_builds(GEMINI, asked)
