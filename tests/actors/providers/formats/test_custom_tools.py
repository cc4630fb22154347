"""Custom tools of Chat in every format: as they are, flat, or as functions with one string."""

import json

import pytest
from msgspec.structs import replace

from actors.providers.formats.anthropic.decoder import ANTHROPIC
from actors.providers.formats.base import Format
from actors.providers.formats.gemini.decoder import GEMINI
from actors.providers.formats.ollama.decoder import OLLAMA
from actors.providers.formats.openai_chat.decoder import OPENAI_CHAT
from actors.providers.formats.openai_responses.decoder import OPENAI_RESPONSES
from actors.turn import messages as chat
from actors.turn.model_call import JSON, ModelCall

GRAMMAR = {"syntax": "lark", "definition": "start: /.+/"}
TOOL = {
    "type": "custom",
    "custom": {
        "name": "patch",
        "description": "Apply it.",
        "format": {"type": "grammar", "grammar": GRAMMAR},
    },
}
CHOICE = {"type": "custom", "custom": {"name": "patch"}}
MESSAGES = (
    chat.UserMessage("a"),
    chat.AssistantMessage(tool_calls=(chat.CustomToolCall("c1", "patch", 'say "x"'),)),
    chat.ToolMessage(content="ok", tool_call_id="c1"),
)
CALL = ModelCall(
    messages=MESSAGES, parameters={"tools": [TOOL], "tool_choice": CHOICE}, upstream_model="m"
)
SCHEMA = {
    "type": "object",
    "properties": {"input": {"type": "string"}},
    "required": ["input"],
    "additionalProperties": False,
}


def body(format: Format, call: ModelCall = CALL) -> dict[str, JSON]:
    """Return the body of the call, after checking that nothing was left out."""
    parts = format.build(call, None)
    assert parts.ignored == ()
    sent: dict[str, JSON] = json.loads(parts.body)
    return sent


def test_chat_servers_get_what_a_chat_client_sent() -> None:
    sent = body(OPENAI_CHAT)
    assert (sent["tools"], sent["tool_choice"]) == ([TOOL], CHOICE)
    assert '"custom":{"name":"patch","input":"say \\"x\\""}' in json.dumps(
        sent["messages"], separators=(",", ":")
    )


def test_responses_servers_get_flat_tools() -> None:
    sent = body(OPENAI_RESPONSES)
    flat = {"name": "patch", "description": "Apply it.", "format": {"type": "grammar", **GRAMMAR}}
    assert sent["tools"] == [{"type": "custom", **flat}]
    assert sent["tool_choice"] == {"type": "custom", "name": "patch"}


@pytest.mark.parametrize("format", [ANTHROPIC, GEMINI, OLLAMA, OPENAI_CHAT])
def test_other_servers_get_functions_with_one_string(format: Format) -> None:
    parts = format.build(replace(CALL, client="openai-responses"), None)
    # Ollama cannot force a tool.
    assert parts.ignored == (("tool_choice",) if format is OLLAMA else ())
    sent = parts.body.decode()
    assert '"custom"' not in sent
    assert json.dumps(SCHEMA, separators=(",", ":")) in sent
    assert "Apply it.\\n\\n`input` must match this lark grammar:\\nstart: /.+/" in sent
    assert '{"input":"say \\"x\\""}' in sent or '{\\"input\\":\\"say \\\\\\"x\\\\\\"\\"}' in sent


def test_allowed_tools_may_name_custom_ones() -> None:
    allowed = {"mode": "required", "tools": [CHOICE]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    parameters: dict[str, JSON] = {"tools": [TOOL], "tool_choice": choice}
    sent = body(GEMINI, ModelCall(messages=MESSAGES, parameters=parameters))
    assert sent["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["patch"]}
    }
