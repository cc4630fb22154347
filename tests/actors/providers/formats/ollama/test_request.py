"""Tests of Ollama requests, validated by the SDK's types."""

from typing import Any

import msgspec
import ollama
import pytest
from hypothesis import given
from ollama._types import ChatRequest, Options

from actors.providers.formats.ollama.decoder import OLLAMA
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall
from tests.support.malformed_calls import any_calls, check_builds

USER: dict[str, object] = {"role": "user", "content": "Who is on stage?"}
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": WEATHER}}
_NEWER = frozenset({"truncate", "shift"})
"""Fields of the API for which the SDK has no argument."""


def call(*messages: Any, **parameters: Any) -> ModelCall:
    return ModelCall(
        upstream_model="llama3.2",
        messages=read_messages(list(messages) or [USER]),
        parameters=parameters,
    )


def built(asked: ModelCall) -> dict[str, Any]:
    """Return the request body, validated by the SDK's types and without unknown fields."""
    document = msgspec.json.decode(OLLAMA.build(asked, None).body, type=dict[str, Any])
    ChatRequest.model_validate(document)
    assert document.keys() - _NEWER <= ChatRequest.model_fields.keys()
    for message in document["messages"]:
        images = [{"value": image} for image in message.get("images", [])]
        ollama.Message.model_validate(message | {"images": images})
        assert message.keys() <= ollama.Message.model_fields.keys() | {"tool_call_id"}
    return document


def messages(*asked: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = built(call(*asked))["messages"]
    return found


def rest(**parameters: Any) -> dict[str, Any]:
    document = built(call(**parameters))
    return {key: document[key] for key in document.keys() - {"model", "messages", "stream"}}


def left_out(*asked: Any, **parameters: Any) -> tuple[str, ...]:
    built(call(*asked, **parameters))
    return OLLAMA.unsupported(call(*asked, **parameters))


def test_a_question() -> None:
    assert built(call()) == {"model": "llama3.2", "messages": [USER], "stream": True}
    assert left_out() == ()
    parts = OLLAMA.build(call(), "k1")
    assert parts.path == "/api/chat"
    assert dict(parts.headers)["authorization"] == "Bearer k1"
    assert "authorization" not in dict(OLLAMA.build(call(), None).headers)


def test_a_conversation() -> None:
    assert messages(
        {"role": "developer", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Once", "reasoning_content": "hm", "refusal": "no"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        {"role": "assistant", "content": "Once upon"},
    ) == [
        {"role": "system", "content": "Be brief."},
        USER,
        {"role": "assistant", "content": "Once\nno", "thinking": "hm"},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "Once upon"},
    ]


def test_images_are_a_separate_field() -> None:
    def image(url: str, **more: Any) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": url, **more}}

    inline = image("data:image/png;base64,aGk=")
    asked = {"role": "user", "content": [{"type": "text", "text": "?"}, inline, inline]}
    assert messages(asked) == [{"role": "user", "content": "?", "images": ["aGk=", "aGk="]}]
    assert left_out(asked) == ()
    odd = [
        image("https://x.org/a.png"),
        image("data:image/png;base64,aGk=", detail="high"),
        {"type": "input_audio", "input_audio": {}},
        5,
    ]
    assert left_out(USER, {"role": "user", "name": "Ann", "content": odd}) == (
        "messages[1].name",
        "messages[1].content[0]",
        "messages[1].content[1].image_url.detail",
        "messages[1].content[2]",
        "messages[1].content[3]",
    )


def tool_call(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_tool_calls_and_their_results() -> None:
    asked = (
        USER,
        {"role": "assistant", "content": None, "tool_calls": [tool_call("c1", "f", '{"a":[1.5]}')]},
        {"role": "tool", "tool_call_id": "c1", "content": "Rain."},
    )
    assert messages(*asked)[1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1.5]}}, "id": "c1"}],
        },
        {"role": "tool", "content": "Rain.", "tool_call_id": "c1", "tool_name": "f"},
    ]
    assert left_out(*asked) == ()


def test_orphaned_results_and_invalid_calls_are_reported() -> None:
    assert left_out(
        {"role": "assistant", "tool_calls": [5, tool_call("c1", "f", "[1]")]},
        {"role": "tool", "tool_call_id": "lost", "content": "a"},
        {"role": "tool", "tool_call_id": "other", "name": "h", "content": "a"},
        {"role": "tool", "content": "the result of c1"},
        {"role": "tool", "content": "a"},
    ) == (
        "messages[0].tool_calls[0]",
        "messages[0].tool_calls[1].function.arguments",
        "messages[1].tool_call_id",
        "messages[4].tool_call_id",
    )


def test_sampling_is_in_the_options() -> None:
    asked = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 3,
        "seed": 7,
        "presence_penalty": 0.5,
        "frequency_penalty": -0.5,
        "num_ctx": 8192,
        "repeat_penalty": 1.1,
    }
    assert rest(**asked, max_tokens=5, stop="END") == {
        "options": {**asked, "num_predict": 5, "stop": ["END"]}
    }
    Options.model_validate(asked)
    assert rest(max_completion_tokens=6, max_tokens=5) == {"options": {"num_predict": 6}}
    assert rest(n=1, temperature=None, parallel_tool_calls=True, logprobs=False) == {}


def test_a_parameter_wins_over_the_options_that_came_with_it() -> None:
    options = {"temperature": 1, "min_p": 0.1, "num_predict": 1}
    wanted = {"options": {"temperature": 0, "min_p": 0.1, "num_predict": 9}}
    assert rest(options=options, temperature=0, max_tokens=9) == wanted
    assert rest(max_tokens=9, temperature=0, options=options) == wanted
    assert left_out(options=5) == ("options",)


def test_native_fields_pass_through() -> None:
    own = {"keep_alive": "10m", "logprobs": True, "top_logprobs": 2, "truncate": False}
    assert rest(**own) == own
    assert left_out(**own) == ()


def test_response_formats() -> None:
    assert rest(response_format={"type": "text"}) == {}
    assert rest(response_format={"type": "json_object"}) == {"format": "json"}
    schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": WEATHER}}
    assert rest(response_format=schema) == {"format": WEATHER}
    assert left_out(response_format={"type": "grammar"}) == ("response_format",)


@pytest.mark.parametrize(
    ("effort", "think"),
    [
        ("none", False),
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "high"),
        ("max", "max"),
    ],
)
def test_reasoning_effort(effort: str, think: bool | str) -> None:
    assert rest(reasoning_effort=effort) == {"think": think}
    assert rest(reasoning={"effort": effort}) == {"think": think}


def test_tools_are_passed_unchanged() -> None:
    strict = {"type": "function", "function": {"name": "g", "strict": True}}
    assert rest(tools=[TOOL, strict, 5]) == {"tools": [TOOL, strict]}
    assert left_out(tools=[TOOL, strict, 5]) == ("tools[1].function.strict", "tools[2]")


def test_tool_choice_none_sends_no_tools() -> None:
    assert rest(tool_choice="none", tools=[TOOL]) == {}
    assert left_out(tool_choice="none", tools=[TOOL]) == ()
    assert rest(tool_choice="auto", tools=[TOOL]) == {"tools": [TOOL]}
    assert left_out(tool_choice="auto", tools=[TOOL]) == ()
    assert left_out(tool_choice="required", tools=[TOOL]) == ("tool_choice",)


def test_unsupported_parameters_are_reported_and_left_out() -> None:
    parameters: dict[str, Any] = {
        "logit_bias": {"1": 1},
        "parallel_tool_calls": False,
        "n": 2,
        "user": "u",
        "metadata": {"a": "b"},
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "reasoning_effort": "odd",
        "odd": [1],
    }
    assert left_out(tools=[TOOL], **parameters) == tuple(parameters)
    assert rest(tools=[TOOL], **parameters) == {"tools": [TOOL]}


@given(any_calls("options"))
def test_arbitrary_calls_do_not_crash(asked: ModelCall) -> None:
    check_builds(OLLAMA, asked)
