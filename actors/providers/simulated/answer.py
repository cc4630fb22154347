"""Answer builder of simulated models: the pieces of an answer, before timing and faults."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from actors.providers.simulated.behaviour import Behaviour, Style
from actors.providers.simulated.examples import example
from actors.providers.simulated.limits import read_limits, until_stop
from actors.providers.simulated.messages import Message, ends_with, last_text
from actors.providers.simulated.prose import counting, many_scripts, pieces, prose
from actors.providers.simulated.resuming import find_partial_answer, remainder
from actors.providers.simulated.tools import tool_calls
from actors.turn.chunks import Chunk, ReasoningChunk, RefusalChunk, TextChunk
from actors.turn.model_call import JSON, ModelCall
from actors.turn.outcome import Reason


class Answer(Struct, frozen=True):
    """A complete answer: one chunk per piece, and the finish reason."""

    chunks: tuple[Chunk, ...]
    finish: Reason
    reasoning_tokens: int


def answer(call: ModelCall, behaviour: Behaviour) -> Answer:
    """Return the model's answer to the call; raises `BadParameter`.

    The same arguments always give the same answer.
    """
    limits = read_limits(call.parameters)
    seed = _seed(behaviour.voice, call.messages)
    # Another seed than the text's, so that the reasoning isn't a copy of its beginning.
    reasoning = [ReasoningChunk(piece) for piece in prose(seed + 1, behaviour.reasoning)]
    calls = tool_calls(call, behaviour.tool, seed)
    output = calls or _text(call, behaviour, limits.stop)
    chunks, finish = [*reasoning, *output], Reason.TOOL_CALLS if calls else Reason.STOP
    for limit, reason in (
        (behaviour.filter, Reason.CONTENT_FILTER),
        (limits.max_tokens, Reason.LENGTH),
    ):
        if limit is not None and len(chunks) > limit:
            chunks, finish = chunks[:limit], reason
    return Answer(tuple(chunks), finish, min(len(reasoning), len(chunks)))


def _text(
    call: ModelCall, behaviour: Behaviour, stop: tuple[str, ...]
) -> Sequence[TextChunk | RefusalChunk]:
    text = until_stop("".join(_words(call, behaviour)), stop)
    kind = RefusalChunk if behaviour.refusal else TextChunk
    return [kind(piece) for piece in pieces(text)]


def _words(call: ModelCall, behaviour: Behaviour) -> Sequence[str]:
    partial = find_partial_answer(call.messages, behaviour.resume)
    if partial is None:
        return _fresh(call.messages, call.parameters, behaviour)
    before = _fresh(partial.question, call.parameters, behaviour)
    rest = remainder(partial, before)
    return _fresh(call.messages, call.parameters, behaviour) if rest is None else rest


def _fresh(
    messages: Sequence[Message], parameters: dict[str, JSON], behaviour: Behaviour
) -> Sequence[str]:
    seed = _seed(behaviour.voice, messages)
    if (document := _json_answer(parameters, seed)) is not None:
        return pieces(document)
    length = behaviour.tokens or 40 + seed % 81
    if ends_with(messages, "tool"):
        mention = pieces(f"The tool says: {last_text(messages, 'tool')} ")
        return [*mention, *prose(seed, length)]
    match behaviour.style:
        case Style.ECHO:
            return pieces(last_text(messages, "user"))[: behaviour.tokens]
        case Style.COUNT:
            return counting(length)
        case Style.UNICODE:
            return many_scripts(seed, length)
        case Style.PROSE:
            return prose(seed, length)


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
    digest.update(msgspec.json.encode(messages))
    return int.from_bytes(digest.digest())
