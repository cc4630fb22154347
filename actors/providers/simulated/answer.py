"""Answers of simulated models as chunks, before timing and faults.

An answer is text, JSON or tool calls. A call that ends with a part of an answer gets the rest of
it, in the way that the model's `resume` option demands.
"""

import hashlib
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from actors.providers.formats.custom_tools import custom_as_functions
from actors.providers.simulated.messages import count_input_tokens, ends_with, last_text
from actors.providers.simulated.options.behaviour import Behaviour, Resume, Style
from actors.providers.simulated.prose import counting, many_scripts, pieces, prose
from actors.providers.simulated.rejections import max_tokens, stop_words
from actors.providers.simulated.schema_examples import example
from actors.turn.chat_messages import write_messages
from actors.turn.chunks import Chunk, ReasoningChunk, RefusalChunk, TextChunk, ToolCallChunk
from actors.turn.messages import Message, text_of
from actors.turn.model_call import JSON, ModelCall
from actors.turn.outcome import Reason, Usage

_OVERLAP = 5
"""Pieces that `Resume.OVERLAP` repeats."""

_Function = Mapping[str, JSON]


class ScriptedAnswer(Struct, frozen=True):
    """A complete answer: one chunk per piece, the finish reason and the usage."""

    chunks: tuple[Chunk, ...]
    finish: Reason
    usage: Usage


def answer(call: ModelCall, behaviour: Behaviour) -> ScriptedAnswer:
    """Return the model's answer to the call; raises `Rejected`.

    The same arguments always give the same answer.
    """
    longest, stop = max_tokens(call.parameters), stop_words(call.parameters)
    seed = _seed(behaviour.voice, call.messages)
    # Another seed than the text's, so that the reasoning isn't a copy of its beginning.
    reasoning = [ReasoningChunk(piece) for piece in prose(seed + 1, behaviour.reasoning)]
    calls = tool_calls(call, behaviour.tool, seed)
    output = calls or _text(call, behaviour, stop)
    chunks, finish = [*reasoning, *output], Reason.TOOL_CALLS if calls else Reason.STOP
    for limit, reason in ((behaviour.filter, Reason.CONTENT_FILTER), (longest, Reason.LENGTH)):
        if limit is not None and len(chunks) > limit:
            chunks, finish = chunks[:limit], reason
    usage = Usage(
        input_tokens=count_input_tokens(call.messages),
        output_tokens=len(chunks),
        reasoning_tokens=min(len(reasoning), len(chunks)),
    )
    return ScriptedAnswer(tuple(chunks), finish, usage)


def _text(
    call: ModelCall, behaviour: Behaviour, stop: Sequence[str]
) -> Sequence[TextChunk | RefusalChunk]:
    kind = RefusalChunk if behaviour.refusal else TextChunk
    text = _whole_text(call, behaviour)
    ends = [index for word in stop if (index := text.find(word)) >= 0]
    return [kind(piece) for piece in pieces(text[: min(ends, default=len(text))])]


def _whole_text(call: ModelCall, behaviour: Behaviour) -> str:
    partial = find_partial_answer(call.messages, behaviour.resume)
    if partial is not None:
        rest = remainder(partial, _fresh(partial.question, call.parameters, behaviour))
        if rest is not None:
            return rest
    return _fresh(call.messages, call.parameters, behaviour)


def _fresh(messages: Sequence[Message], parameters: dict[str, JSON], behaviour: Behaviour) -> str:
    seed = _seed(behaviour.voice, messages)
    if (document := _json_answer(parameters, seed)) is not None:
        return document
    length = behaviour.tokens or 40 + seed % 81
    if ends_with(messages, "tool"):
        return f"The tool says: {last_text(messages, 'tool')} " + "".join(prose(seed, length))
    match behaviour.style:
        case Style.ECHO:
            words = pieces(last_text(messages, "user"))[: behaviour.tokens]
        case Style.COUNT:
            words = counting(length)
        case Style.UNICODE:
            words = many_scripts(seed, length)
        case Style.PROSE:
            words = prose(seed, length)
    return "".join(words)


def _json_answer(parameters: dict[str, JSON], seed: int) -> str | None:
    """Return the JSON document that `response_format` demands, or None."""
    match parameters.get("response_format"):
        case {"type": "json_object"}:
            value: JSON = {"answer": "".join(prose(seed, 12))}
        case {"type": "json_schema", "json_schema": {"schema": schema}}:
            value = example(schema, seed)
        case _:
            return None
    return msgspec.json.encode(value).decode()


def _seed(voice: str, messages: Sequence[Message]) -> int:
    digest = hashlib.blake2b(voice.encode(), digest_size=8)
    digest.update(msgspec.json.encode(write_messages(messages)))
    return int.from_bytes(digest.digest())


class PartialAnswer(Struct, frozen=True):
    """An incomplete answer found in the messages, with its question and the way to continue it."""

    question: Sequence[Message]
    text: str
    resume: Resume
    prefill: bool


def find_partial_answer(messages: Sequence[Message], resume: Resume) -> PartialAnswer | None:
    """Return the answer to continue, or None.

    It is the last message, or the one before the user's last message.
    """
    if ends_with(messages, "assistant"):
        return PartialAnswer(messages[:-1], text_of(messages[-1]), Resume.ON, True)
    if resume is Resume.NEW or not ends_with(messages, "user"):
        return None
    if not ends_with(messages[:-1], "assistant"):
        return None
    return PartialAnswer(messages[:-2], text_of(messages[-2]), resume, False)


def remainder(partial: PartialAnswer, whole: str) -> str | None:
    """Return the text that follows in the `whole` answer, or None if it starts differently."""
    shown = partial.text.rstrip()
    if not whole.startswith(shown) or (shown == whole and not partial.prefill):
        return None
    rest = whole[len(shown) :]
    match partial.resume:
        case Resume.AGAIN:
            return whole
        case Resume.OVERLAP:
            return "".join(pieces(shown)[-_OVERLAP:]).lstrip() + rest
        case _:
            # A prefill continues inside the message; a new message doesn't begin with a space.
            return rest if partial.prefill else rest.lstrip()


def tool_calls(call: ModelCall, wanted: int, seed: int) -> list[ToolCallChunk]:
    """Return the tool calls, one chunk per piece; an empty list for a text answer.

    With `wanted` = 0 a tool is called only if `tool_choice` demands it. A tool result is always
    answered with text, so that tool loops end. A custom tool is called like a function.
    """
    call = custom_as_functions(call)
    functions = _functions(call.parameters)
    choice = call.parameters.get("tool_choice")
    number = wanted or int(choice == "required" or isinstance(choice, dict))
    if not functions or not number or choice == "none" or ends_with(call.messages, "tool"):
        return []
    if call.parameters.get("parallel_tool_calls") is False:
        number = 1
    chosen = _chosen(functions, choice)
    return [
        chunk
        for index in range(number)
        for chunk in _pieces_of_call(index, chosen[index % len(chosen)], seed + index)
    ]


def _functions(parameters: Mapping[str, JSON]) -> list[_Function]:
    tools = parameters.get("tools")
    entries = tools if isinstance(tools, list) else []
    found = [entry.get("function") for entry in entries if isinstance(entry, dict)]
    return [function for function in found if isinstance(function, dict)]


def _chosen(functions: list[_Function], choice: JSON) -> list[_Function]:
    if isinstance(choice, dict) and isinstance(named := choice.get("function"), dict):
        return [f for f in functions if f.get("name") == named.get("name")] or functions
    return functions


def _pieces_of_call(index: int, function: _Function, seed: int) -> list[ToolCallChunk]:
    arguments = pieces(msgspec.json.encode(example(_schema(function), seed)).decode())
    first, *rest = arguments
    head = ToolCallChunk(index, f"call_{seed % 16**20:020x}", str(function.get("name")), first)
    return [head, *(ToolCallChunk(index, None, None, piece) for piece in rest)]


def _schema(function: _Function) -> JSON:
    return function.get("parameters") or {"type": "object"}
