"""Input check: scores what comes in for injected instructions, and removes or refuses it.

Only messages after the model's last one can refuse a request: an old one must not end a
conversation for ever. Older ones are sanitised again, since clients send them again as they were.
"""

from collections.abc import Iterator, Mapping
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from actors.guards.input.scoring import Level, sanitised, score
from actors.guards.rewriting import rewritten_call, rewritten_json, strings_in
from actors.runtime.offload import off_loop
from actors.turn.events import Warning
from actors.turn.messages import (
    AssistantMessage,
    Message,
    NativePart,
    OtherPart,
    TextPart,
    ToolMessage,
    UserMessage,
    parts_of,
)
from actors.turn.model_call import JSON, ModelCall
from actors.turn.outcome import ErrorInfo, Finding, GuardVerdict
from actors.turn.request import TurnRequest
from actors.turn.store_records import Authority
from web.http.api_error import ApiError
from web.service import Service

NAME = "input"
_LONG = 4096
"""Characters of text from which on it is scored in a thread."""


class Checked(Struct, frozen=True):
    """Findings in the texts of a request."""

    worst: float
    """Highest score of the new texts."""
    is_blocked: bool
    classes: tuple[str, ...]
    """Classes of what was found in them."""
    replacements: Mapping[str, str]
    """Sanitised texts by the texts that they replace."""


async def check_input(service: Service, request: TurnRequest) -> TurnRequest:
    """Return the request with suspicious text removed; raises `ApiError` (403) to refuse it."""
    if not request.guards.check_input:
        return request
    new, old = _texts(request.call)
    large = sum(map(len, (*new, *old))) > _LONG
    found = await off_loop(large, service.readers, partial(_check, new, old))
    if found.is_blocked:
        service.metrics.input_checked("block", request.model, found.worst, found.classes)
        raise _blocked(found.worst)
    verdict: Finding = "rewrite" if found.replacements else "pass"
    at, count = service.now(), max(1, len(found.replacements))
    record = GuardVerdict(
        guard=NAME, stage="input", verdict=verdict, at=at, count=count, score=found.worst
    )
    request = replace(request, verdicts=(*request.verdicts, record))
    if not found.replacements:
        return request
    service.metrics.input_checked("rewrite", request.model, found.worst, found.classes)
    return await off_loop(large, service.readers, partial(_without, request, found))


def _texts(call: ModelCall) -> tuple[list[str], list[str]]:
    """Return the texts behind the model's last message, and those before it."""
    messages = call.messages
    said = [n for n, message in enumerate(messages) if isinstance(message, AssistantMessage)]
    border = said[-1] + 1 if said else 0
    if border == len(messages):  # the model continues its own message
        border = said[-2] + 1 if len(said) > 1 else 0
    new, old = list(_given(messages[border:])), list(_given(messages[:border]))
    items = call.native.items if call.native else ()
    said = [n for n, item in enumerate(items) if _is_said(item)]
    border = said[-1] + 1 if said else 0
    return [*new, *_outputs(items[border:])], [*old, *_outputs(items[:border])]


def _is_said(item: Mapping[str, JSON]) -> bool:
    """Return True for an item of the model."""
    return item.get("role") == "assistant" or str(item.get("type")).endswith("_call")


def _outputs(items: tuple[dict[str, JSON], ...]) -> Iterator[str]:
    """Yield the texts of results of tools, also of those for which messages have no form."""
    for item in items:
        if str(item.get("type")).endswith("_output"):
            yield from strings_in(item.get("output"))


def _given(messages: tuple[Message, ...]) -> Iterator[str]:
    for message in messages:
        if isinstance(message, UserMessage | ToolMessage):
            for part in parts_of(message.content):
                match part:
                    case TextPart(text):
                        yield text
                    case NativePart(_, fields) | OtherPart(fields):
                        yield from strings_in(fields)


def _check(new: list[str], old: list[str]) -> Checked:
    scores = {text: score(text) for text in dict.fromkeys((*new, *old))}
    newest = [scores[text] for text in new]
    suspicious = {
        text: sanitised(text, found)
        for text, found in scores.items()
        if found.level is not Level.CLEAN
    }
    total = max([one.total for one in newest], default=0.0)
    blocked = any(one.level is Level.BLOCKED for one in newest)
    classes = sorted({each.value for one in newest for each in one.classes})
    return Checked(total, blocked, tuple(classes), suspicious)


def _without(request: TurnRequest, found: Checked) -> TurnRequest:
    items = request.input_items
    note = Warning(
        "input_sanitised", "Parts of the input look like injected instructions and were removed."
    )
    return replace(
        request,
        call=rewritten_call(request.call, found.replacements),
        input_items=items and rewritten_json(items, found.replacements),
        authority=Authority.EXTERNAL,
        notes=(*request.notes, note),
    )


def _blocked(total: float) -> ApiError:
    text = (
        f"The message was refused, because it looks like an injection of instructions (score"
        f" {total:.2f}; from 0.70 on messages are refused)."
    )
    return ApiError(
        ErrorInfo(status=403, message=text, type="invalid_request_error", code="message_blocked")
    )
