"""Reads from a failure which fields or values of the request the provider refused. Pure.

Servers that speak a provider's API don't have all of its fields. A field that doesn't decide what
is answered, such as `stream_options`, can be left out, once the server has refused it by name.
"""

import operator
import re
from collections.abc import Callable, Iterator

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import JSON, FailureKind, UpstreamFailure

_STATUSES = frozenset({400, 422})
_BY_VALUE = frozenset({"reasoning_effort", "service_tier", "verbosity"})
"""Fields of which servers may refuse one value and accept another."""
_LIMITS = frozenset({"max_tokens", "max_completion_tokens"})
"""Fields that most servers know: a message with their name often concerns the value instead."""
_UNKNOWN = re.compile(
    r"unsupported|not supported|unknown|unrecogni[sz]ed|unexpected|extra|additional"
    r"|not (?:permitted|allowed|valid|exist|recogni[sz]ed)|doesn't exist|no such|use '?\"?max_",
    re.IGNORECASE,
)
_NOUN = r"\b(?:argument|parameter|field|property|key|input|name)s?(?: supplied)?:? "
_IS_REFUSED = r"is (?:not |un)(?:supported|allowed|permitted|known|recogni[sz]ed|expected)"
"""Words before or behind a name that isn't quoted, as in `argument supplied: seed`."""
PARTS_OF_TOOLS = frozenset(
    {"custom", "description", "function", "input_schema", "name", "parameters", "type"}
)
"""Fields of tools that are always sent."""
_LISTS = ("messages", "input", "system", "content", "tool_calls")
"""Fields with lists of messages, items, parts and calls."""
_ALWAYS_SENT = PARTS_OF_TOOLS | frozenset(
    {
        *("arguments", "call_id", "content", "data", "file", "file_data", "file_id", "file_url"),
        *("id", "image_url", "index", "input", "input_audio", "output", "role", "signature"),
        *("source", "summary", "text", "thinking", "tool_use_id", "tools", "video_url"),
    }
)
"""Fields of items, parts and calls that are always sent."""
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.IGNORECASE)
_MOST_MODELS = 1000
"""Models whose refusals are remembered; clients may ask for any name."""
_MOST_WORDS = 100
"""Maximum number of refused fields and values of a model."""


class Refusals:
    """Fields and values that a server refuses, as in `ModelCall.refused`."""

    __slots__ = ("_known", "_learned")

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._learned: dict[str, frozenset[str]] = {}
        """Everything that a model is known to refuse, by model."""

    def of(self, model: str) -> frozenset[str]:
        """Return what a request to the model does without."""
        return self._learned.get(model, self._known)

    def learn(self, model: str, words: frozenset[str]) -> None:
        """Remember what was refused by a request that succeeded without it."""
        refused = self.of(model) | words
        if len(refused) <= len(self._known) + _MOST_WORDS:
            self._learned[model] = refused
        if len(self._learned) > _MOST_MODELS:
            del self._learned[next(iter(self._learned))]


def refused_words(
    body: dict[str, JSON],
    betas: tuple[str, ...],
    failure: UpstreamFailure,
    optional: Callable[[str], bool],
) -> frozenset[str]:
    """Return the optional fields and values of a request's body, and betas, that a failure names.

    They are written as in `ModelCall.refused`. Empty if the failure has another reason.
    """
    if failure.kind is not FailureKind.REJECTED or failure.status not in _STATUSES:
        return frozenset()
    if failure_class_of(failure) is not FailureClass.REJECTED:
        return frozenset()
    words = {
        f"{name}={value}" if name in _BY_VALUE and isinstance(value, str) else name
        for name, value in _fields(body)
        if optional(name) and _is_named(name, failure)
    }
    return frozenset(words).union(beta for beta in betas if beta in failure.message)


def _fields(body: dict[str, JSON]) -> Iterator[tuple[str, JSON]]:
    """Yield the fields of a request, its messages and tools, and the role `developer` if used."""
    yield from body.items()
    match body.get("reasoning"):
        case {"effort": effort}:
            yield "reasoning_effort", effort
    for tool in objects_in(body.get("tools")):
        yield from ((name, None) for name in tool if name not in PARTS_OF_TOOLS)
    for message in objects_in(body.get("messages")):
        yield from message.items()
        if message.get("role") == "developer":
            yield "developer", None
    for inner in _within(body):
        yield from ((name, None) for name in inner if name not in _ALWAYS_SENT)


def _within(fields: dict[str, JSON]) -> Iterator[dict[str, JSON]]:
    """Yield the items, parts and calls of a request's messages."""
    for name in _LISTS:
        for one in objects_in(fields.get(name)):
            if name != "messages":
                yield one
            yield from _within(one)


def without_refused(
    fields: dict[str, JSON], refused: frozenset[str], path: str, left_out: list[str]
) -> dict[str, JSON]:
    """Return a request without what the server refuses of its items, parts and calls.

    Their paths are added to `left_out`.
    """
    changed: dict[str, JSON] = {}
    for name in _LISTS:
        if not isinstance(given := fields.get(name), list):
            continue
        kept: list[JSON] = []
        for index, one in enumerate(given):
            if isinstance(one, dict):
                at = f"{path}{name}[{index}]."
                found = [] if name == "messages" else [key for key in one if key in refused]
                left_out += [at + key for key in found]
                rest = {key: one[key] for key in one if key not in found} if found else one
                kept.append(without_refused(rest, refused, at, left_out))
            else:
                kept.append(one)
        if any(map(operator.is_not, kept, given)):
            changed[name] = kept
    return fields | changed if changed else fields


def objects_in(value: JSON) -> list[dict[str, JSON]]:
    """Return the objects of a list, and the `function` in each that is a tool of Chat."""
    found = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return found + [inner for one in found if isinstance(inner := one.get("function"), dict)]


def _is_named(name: str, failure: UpstreamFailure) -> bool:
    if not _NAME.fullmatch(name):
        return False
    if name in _LIMITS and not _UNKNOWN.search(f"{failure.message} {failure.code}"):
        return False
    name = name.replace("reasoning_effort", "reasoning[_.]effort")
    if re.search(rf"(?:^|[.\]]){name}$", failure.param or ""):
        return True
    # A name such as `user` is also a word, so it must be quoted or be a path or its end.
    apart = r"(?<!\w)" if "_" in name else r"(?:^|[\"'`.\]])"
    after = r"(?!\w)" if "_" in name else r"(?:[\"'`:]|$)"
    if re.search(apart + name + after, failure.message):
        return True
    plainly = rf"{_NOUN}{name}(?!\w)|(?:^|[.:] ){name} {_IS_REFUSED}"
    return re.search(plainly, failure.message, re.IGNORECASE) is not None
