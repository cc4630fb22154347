"""Texts of a call are replaced wherever they stand, also in the form of the client's own API."""

from actors.guards.rewriting import rewritten_call, rewritten_json, with_system
from actors.turn.messages import AssistantMessage, SystemMessage, TextPart, UserMessage
from actors.turn.model_call import ModelCall, NativeRequest

SYSTEM = SystemMessage("Be kind.")
QUESTION = UserMessage((TextPart("odd"), TextPart("even")))


def call() -> ModelCall:
    native = NativeRequest(
        api="openai-responses",
        messages=(SYSTEM, QUESTION),
        items=({"role": "user", "content": [{"type": "input_text", "text": "odd"}]},),
        parameters={"instructions": "Be kind.", "max": 3},
    )
    return ModelCall(messages=(SYSTEM, QUESTION, AssistantMessage(content="odd")), native=native)


def test_texts_are_replaced_in_both_forms() -> None:
    changed = rewritten_call(call(), {"odd": "[removed]"})
    assert changed.messages[1] == UserMessage((TextPart("[removed]"), TextPart("even")))
    native = changed.native_for("openai-responses")
    assert native is not None
    assert native.items[0]["content"] == [{"type": "input_text", "text": "[removed]"}]


def test_system_prompt_is_changed_in_both_forms_and_nothing_else() -> None:
    changed = with_system(call(), lambda text: f"<{text}>")
    assert changed.messages[0] == SystemMessage("<Be kind.>")
    assert changed.messages[1:] == call().messages[1:]
    native = changed.native_for("openai-responses")
    assert native is not None
    assert native.parameters == {"instructions": "<Be kind.>", "max": 3}


def test_call_without_system_prompt_is_unchanged() -> None:
    plain = ModelCall(messages=(QUESTION,))
    assert with_system(plain, str.upper) is plain


def test_json_keeps_its_shape() -> None:
    assert rewritten_json('{"a":["x",{"b":"x y"}],"x":1}', {"x": "z"}) == (
        '{"a":["z",{"b":"x y"}],"x":1}'
    )
