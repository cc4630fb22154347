"""What a simulated model says to a call: the pieces of its answer, whole and in order."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from actors.chunks import Chunk, ReasoningChunk, RefusalChunk, TextChunk
from actors.outcome import Reason
from actors.providers.base import JSON, ModelCall
from actors.providers.simulated.behaviour import Behaviour, Style
from actors.providers.simulated.examples import example
from actors.providers.simulated.limits import read_limits, until_stop
from actors.providers.simulated.messages import Message, ends_with, last_text
from actors.providers.simulated.prose import counting, many_scripts, pieces, prose
from actors.providers.simulated.resuming import find_cut, remainder
from actors.providers.simulated.tools import tool_calls


class Answer(Struct, frozen=True):
    """One chunk for each piece, and why the answer ends after them."""

    chunks: tuple[Chunk, ...]
    finish: Reason
    reasoning_tokens: int


def answer(call: ModelCall, behaviour: Behaviour) -> Answer:
    """The answer of this model to this call, the same every time; raises `BadParameter`."""
    limits = read_limits(call.parameters)
    seed = _seed(behaviour.voice, call.messages)
    thought = [ReasoningChunk(piece) for piece in prose(seed + 1, behaviour.reasoning)]
    calls = tool_calls(call, behaviour.tool, seed)
    said = calls or _speech(call, behaviour, limits.stop)
    chunks, finish = [*thought, *said], Reason.TOOL_CALLS if calls else Reason.STOP
    for most, reason in (
        (behaviour.filter, Reason.CONTENT_FILTER),
        (limits.max_tokens, Reason.LENGTH),
    ):
        if most is not None and len(chunks) > most:
            chunks, finish = chunks[:most], reason
    return Answer(tuple(chunks), finish, min(len(thought), len(chunks)))


def _speech(
    call: ModelCall, behaviour: Behaviour, stop: tuple[str, ...]
) -> Sequence[TextChunk | RefusalChunk]:
    said = until_stop("".join(_words(call, behaviour)), stop)
    kind = RefusalChunk if behaviour.refusal else TextChunk
    return [kind(piece) for piece in pieces(said)]


def _words(call: ModelCall, behaviour: Behaviour) -> Sequence[str]:
    cut = find_cut(call.messages, behaviour.resume)
    if cut is None:
        return _fresh(call.messages, call.parameters, behaviour)
    before = _fresh(cut.question, call.parameters, behaviour)
    rest = remainder(cut, before)
    return _fresh(call.messages, call.parameters, behaviour) if rest is None else rest


def _fresh(
    messages: Sequence[Message], parameters: dict[str, JSON], behaviour: Behaviour
) -> Sequence[str]:
    seed = _seed(behaviour.voice, messages)
    if (document := _json_wanted(parameters, seed)) is not None:
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


def _json_wanted(parameters: dict[str, JSON], seed: int) -> str | None:
    wanted = parameters.get("response_format")
    match wanted:
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
