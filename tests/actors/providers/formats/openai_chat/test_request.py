"""Tests of Chat Completions requests: what servers other than OpenAI's accept."""

from typing import Any

import msgspec
import pytest

from actors.providers.formats.openai_chat.decoder import FORMAT, OPENAI_CHAT
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

OPENAI, OTHER = "https://api.openai.com/v1", "http://localhost:8000/v1"
HI = {"role": "user", "content": "Hi"}
PNG = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}


def call(
    *messages: dict[str, Any],
    server: str = OTHER,
    model: str = "m",
    foreign: Any = None,
    also_refused: frozenset[str] = frozenset(),
    **parameters: object,
) -> ModelCall:
    return ModelCall(
        upstream_model=model,
        messages=read_messages(messages or [HI]),
        parameters=parameters,
        foreign=foreign or {},
        refused=FORMAT.refused_by(server) | also_refused,
    )


def sent(asked: ModelCall) -> dict[str, Any]:
    """Return the body without the fields that every request has."""
    body = msgspec.json.decode(OPENAI_CHAT.build(asked, None).body, type=dict[str, Any])
    assert body.pop("stream") is True
    body.pop("stream_options", None)
    return {name: value for name, value in body.items() if name not in ("model", "messages")}


def messages_of(asked: ModelCall) -> list[dict[str, Any]]:
    found = msgspec.json.decode(OPENAI_CHAT.build(asked, None).body)["messages"]
    assert isinstance(found, list)
    return found


@pytest.mark.parametrize(
    "server", ["https://api.openai.com/v1", "https://eu.api.openai.com/v1/", OPENAI.upper()]
)
def test_openai_gets_the_fields_that_only_it_has(server: str) -> None:
    developer = {"role": "developer", "content": "Be brief."}
    asked = call(developer, HI, server=server, max_tokens=7, prompt_cache_key="k", store=True)
    assert messages_of(asked) == [developer, HI]
    assert sent(asked) == {"max_completion_tokens": 7, "prompt_cache_key": "k", "store": True}
    assert OPENAI_CHAT.unsupported(asked) == ()


@pytest.mark.parametrize(
    "server", [OTHER, "https://api.mistral.ai/v1", "https://api.openai.com.example/v1"]
)
def test_other_servers_get_what_they_have_too(server: str) -> None:
    developer = {"role": "developer", "content": "Be brief."}
    asked = call(
        *(developer, HI),
        server=server,
        max_completion_tokens=7,
        prompt_cache_key="k",
        safety_identifier="s",
        store=True,
        top_k=3,
        chat_template_kwargs={"enable_thinking": False},
    )
    assert messages_of(asked) == [{**developer, "role": "system"}, HI]
    assert sent(asked) == {
        "max_tokens": 7,
        "top_k": 3,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert set(OPENAI_CHAT.unsupported(asked)) == {"prompt_cache_key", "safety_identifier"}


def test_openai_gets_no_fields_of_other_servers() -> None:
    asked = call(server=OPENAI, top_k=3, min_p=0.1, odd=None)
    assert sent(asked) == {}
    assert OPENAI_CHAT.unsupported(asked) == ("top_k", "min_p")


@pytest.mark.parametrize("server", [OPENAI, OTHER])
def test_metadata_of_one_client_reaches_no_server(server: str) -> None:
    asked = call(server=server, client_metadata={"session_id": "s"})
    assert sent(asked) == {}
    assert OPENAI_CHAT.unsupported(asked) == ("client_metadata",)


@pytest.mark.parametrize(
    ("limits", "server", "expected"),
    [
        ({"max_tokens": 5}, OTHER, {"max_tokens": 5}),
        ({"max_completion_tokens": 5}, OTHER, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": None}, OTHER, {"max_tokens": 5}),
        ({"max_completion_tokens": None, "max_tokens": 5}, OTHER, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, OTHER, {"max_tokens": 5}),
        ({"max_completion_tokens": 5, "max_tokens": 9}, OPENAI, {"max_completion_tokens": 5}),
        ({"max_tokens": 5}, OPENAI, {"max_completion_tokens": 5}),
        ({"max_completion_tokens": 5}, OPENAI, {"max_completion_tokens": 5}),
    ],
)
def test_limit_has_the_name_that_the_server_knows(
    limits: dict[str, Any], server: str, expected: dict[str, Any]
) -> None:
    asked = call(server=server, **limits)
    assert sent(asked) == expected
    assert OPENAI_CHAT.unsupported(asked) == ()


def test_limit_changes_its_name_when_the_server_refuses_it() -> None:
    limits = frozenset({"max_tokens"})
    asked = call(also_refused=limits, max_tokens=5)
    assert sent(asked) == {}, "the server knows neither"
    assert OPENAI_CHAT.unsupported(asked) == ("max_tokens",)
    known = msgspec.structs.replace(asked, refused=limits)
    assert sent(known) == {"max_completion_tokens": 5}


@pytest.mark.parametrize(
    ("model", "effort", "server", "expected"),
    [
        *((model, "none", OTHER, "none") for model in ("gpt-5.1", "openai/gpt-5.2", "gpt-6-mini")),
        *((model, "none", OPENAI, None) for model in ("gpt-4.1", "gpt-5", "gpt-5-mini", "o3")),
        ("gpt-5.2-pro", "none", OPENAI, None),
        ("qwen3", "none", OTHER, "none"),
        ("m", "minimal", OTHER, "low"),
        ("m", "xhigh", OTHER, "high"),
        ("m", "max", OTHER, "high"),
        ("m", "medium", OTHER, "medium"),
        ("gpt-5.2", "xhigh", OPENAI, "xhigh"),
        ("m", "odd", OTHER, "odd"),
        ("m", 3, OTHER, None),
    ],
)
def test_efforts_that_models_have(
    model: str, effort: object, server: str, expected: str | None
) -> None:
    asked = call(model=model, server=server, reasoning_effort=effort)
    assert sent(asked).get("reasoning_effort") == expected
    assert OPENAI_CHAT.unsupported(asked) == (() if expected else ("reasoning_effort",))


@pytest.mark.parametrize(
    ("model", "expected"),
    [("gpt-4.1", None), ("o3", None), ("mistral-small", None), ("gpt-5.1", "none")],
)
def test_disabled_thinking_asks_only_models_that_know_it(model: str, expected: str | None) -> None:
    asked = call(
        model=model,
        foreign={"thinking": ("reasoning_effort",)},
        thinking={"type": "disabled"},
        reasoning_effort="none",
    )
    assert sent(asked).get("reasoning_effort") == expected
    assert OPENAI_CHAT.unsupported(asked) == ()


def test_reasoning_of_earlier_answers_goes_to_servers_that_know_it() -> None:
    thought = {"role": "assistant", "content": "b", "reasoning_content": "hm"}
    asked = call(HI, thought, HI)
    assert messages_of(asked)[1] == thought
    assert messages_of(call(HI, thought, HI, server=OPENAI))[1] == {
        "role": "assistant",
        "content": "b",
    }
    path = ("messages[1].reasoning_content",)
    assert OPENAI_CHAT.unsupported(call(HI, thought, HI, server=OPENAI)) == path
    for foreign in (None, {"reasoning_content": ()}):
        refusing = call(
            *(HI, thought, HI), foreign=foreign, also_refused=frozenset({"reasoning_content"})
        )
        assert "reasoning_content" not in messages_of(refusing)[1]
        assert OPENAI_CHAT.unsupported(refusing) == path


def test_usage_is_requested_unless_the_server_refuses_it() -> None:
    body = msgspec.json.decode(OPENAI_CHAT.build(call(), None).body)
    assert body["stream_options"] == {"include_usage": True}
    refusing = call(also_refused=frozenset({"stream_options"}))
    assert "stream_options" not in msgspec.json.decode(OPENAI_CHAT.build(refusing, None).body)
    assert OPENAI_CHAT.unsupported(refusing) == ()


def test_pictures_of_results_follow_all_results_of_the_round() -> None:
    function = {"name": "f", "arguments": "{}"}
    calls = [{"id": id, "type": "function", "function": function} for id in ("a", "b")]
    text = {"type": "text", "text": "shot:"}
    asked = call(
        HI,
        {"role": "assistant", "content": None, "tool_calls": calls},
        {"role": "tool", "tool_call_id": "a", "content": [text, PNG]},
        {"role": "tool", "tool_call_id": "b", "content": [PNG, PNG]},
        {"role": "assistant", "content": "Seen."},
        {"role": "tool", "tool_call_id": "b", "content": [PNG]},
        HI,
    )
    assert OPENAI_CHAT.unsupported(asked) == ()
    _, _, first, second, pictures, said, third, last = messages_of(asked)
    assert (first["content"], said["content"]) == ("shot:", "Seen.")
    assert isinstance(second["content"], str)
    assert isinstance(third["content"], str)
    assert pictures["role"] == last["role"] == "user"
    kinds = [part["type"] for part in pictures["content"]]
    assert kinds == ["text", "image_url", "text", "image_url", "image_url"]
    assert [part["type"] for part in last["content"]] == ["text", "image_url", "text"]
    assert last["content"][-1]["text"] == "Hi"


@pytest.mark.parametrize("tools", [{}, {"tools": []}, {"tools": None}])
@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_without_tools_nothing_about_tools_is_sent(tools: dict[str, Any], choice: str) -> None:
    asked = call(tool_choice=choice, parallel_tool_calls=False, **tools)
    assert sent(asked) == {}
    assert OPENAI_CHAT.unsupported(asked) == (("tool_choice",) if choice == "required" else ())
