"""Grammar of simulated model names: parses a name into a `Behaviour` and formats one as a name.

    name     = voice [ ":" setting *( "," setting ) ]
    setting  = key [ "=" value ]

    length   tokens=N  chunk=N (tokens in one chunk)
    speed    head=D (before the response head)  first=D (head to first token)
             delay=D (token to token; `delay=0` sends all at once)
    answer   echo | count | unicode   reasoning[=N]  tool[=N]  refusal  filter=N
    frames   nousage  nodone  badjson=N
    resuming noprefill (400)  resume=on|again|overlap
    faults   error=STATUS  html[=STATUS]  refuse  silent  garbage     instead of the head
             cut=N  break=N  reset=N  end=N  stall=N  errorframe=N  noise=N  torn=N
             (after N tokens)  hang (after the finish reason)
             429[=SECONDS]: error=429, with SECONDS also retry=SECONDS,times=1
             context, policy: error=400 with OpenAI's code for it
    options  code=WORD  retry=SECONDS (Retry-After)  times=N (the first N requests of a
    of fault conversation only)  for=D (only this long after the model's first request)

N is an integer, D a duration: `20ms`, `1.5s`, `2m` or `0`. The voice is any text without a colon.
Each setting is allowed once, and a name may have one style and one fault.
"""

from collections.abc import Callable, Mapping

import msgspec

from actors.providers.simulated.options.behaviour import Behaviour, Fault, FaultKind, Resume, Style
from actors.providers.simulated.options.values import (
    BadSetting,
    count,
    duration,
    one_of,
    seconds,
    show_duration,
    show_number,
    status,
    word,
)

MAX_TOKENS = 100_000
"""Maximum length of an answer; building a longer one would block other tasks for too long."""

_Read = Callable[[str], object]
_Show = Callable[[object], str]


class BadModelName(ValueError):
    """A model name or scenario that the grammar doesn't allow; the message names the error."""


_tokens = count(0, MAX_TOKENS)

_FIELDS: dict[str, tuple[str, str | None, _Read, _Show]] = {
    "tokens": ("tokens", None, count(1, MAX_TOKENS), str),
    "head": ("head_s", None, duration, show_duration),
    "first": ("first_s", None, duration, show_duration),
    "delay": ("delay_s", None, duration, show_duration),
    "chunk": ("chunk", None, count(1, 1000), str),
    "tool": ("tool", "1", count(1, 16), str),
    "reasoning": ("reasoning", "24", count(1, MAX_TOKENS), str),
    "filter": ("filter", None, _tokens, str),
    "badjson": ("badjson", None, _tokens, str),
    "resume": ("resume", None, one_of(Resume), str),
}
"""Key → attribute of `Behaviour`, value if only the key is given, parser, formatter."""

_FLAGS: dict[str, tuple[str, object]] = {
    "echo": ("style", Style.ECHO),
    "count": ("style", Style.COUNT),
    "unicode": ("style", Style.UNICODE),
    "refusal": ("refusal", True),
    "nousage": ("usage", False),
    "nodone": ("done", False),
    "noprefill": ("prefill", False),
}

_PLAIN_FAULTS = frozenset({FaultKind.REFUSE, FaultKind.SILENT, FaultKind.GARBAGE, FaultKind.HANG})

_SHORTHANDS = {
    "429": {"error": "429"},
    "context": {"error": "400", "code": "context_length_exceeded"},
    "policy": {"error": "400", "code": "content_policy_violation"},
}

_MODIFIERS: dict[str, tuple[str, _Read, _Show]] = {
    "code": ("code", word, str),
    "retry": ("retry_after_s", seconds, show_number),
    "times": ("times", count(1, 1_000_000), str),
    "for": ("for_s", duration, show_duration),
}


def parse_model_name(name: str, base: Behaviour | None = None) -> Behaviour:
    """Parse a model name; settings that it leaves out are taken from `base`.

    Raises `BadModelName`.
    """
    voice, colon, rest = name.partition(":")
    settings: dict[str, str | None] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = item.partition("=")
        if key in settings:
            raise BadModelName(f"model name {name!r}: {key!r} is set twice")
        settings[key] = value if equals else None
    return behaviour(voice, settings, base)


def behaviour(
    voice: str, settings: Mapping[str, str | None], base: Behaviour | None = None
) -> Behaviour:
    """Return the behaviour of `voice` with these settings, where None is a key without a value.

    Raises `BadModelName`.
    """
    if not voice or ":" in voice:
        raise BadModelName(f"a model name must begin with a word without a colon, not {voice!r}")
    try:
        changes = _behaviour_changes(_expand(settings))
    except BadSetting as problem:
        raise BadModelName(f"simulated model {voice!r}: {problem}") from None
    return msgspec.structs.replace(base or Behaviour(), voice=voice, **changes)


def model_name(behaviour: Behaviour) -> str:
    """Return the shortest name of this behaviour; the inverse of `parse_model_name`."""
    items = [*_show_fields(behaviour), *_show_flags(behaviour), *_show_fault(behaviour.fault)]
    return behaviour.voice + (":" + ",".join(items) if items else "")


def _expand(settings: Mapping[str, str | None]) -> dict[str, str | None]:
    expanded: dict[str, str | None] = {}
    for key, value in settings.items():
        additions: dict[str, str | None] = {key: value}
        if key in _SHORTHANDS:
            additions = dict(_SHORTHANDS[key])
            if key == "429" and value is not None:
                additions |= {"retry": value, "times": "1"}
            elif value is not None:
                raise BadSetting(f"{key!r} takes no value")
        for name, item in additions.items():
            if name in expanded:
                raise BadSetting(f"{name!r} is set twice")
            expanded[name] = item
    return expanded


def _behaviour_changes(settings: Mapping[str, str | None]) -> dict[str, object]:
    changes: dict[str, object] = {}
    modifiers: dict[str, object] = {}
    for key, value in settings.items():
        if key in _MODIFIERS:
            attribute, read, _ = _MODIFIERS[key]
            modifiers[attribute] = read(_given(key, value))
            continue
        attribute, item = _setting(key, value)
        if attribute in changes:
            raise BadSetting(f"{key!r}: the name already sets another {attribute}")
        changes[attribute] = item
    return changes | _with_modifiers(changes.get("fault"), modifiers)


def _setting(key: str, value: str | None) -> tuple[str, object]:
    if key in _FIELDS:
        attribute, default, read, _ = _FIELDS[key]
        return attribute, _located(key, read, _given(key, default if value is None else value))
    if key in _FLAGS:
        if value is not None:
            raise BadSetting(f"{key!r} takes no value")
        return _FLAGS[key]
    if key in set(FaultKind):
        return "fault", _fault(FaultKind(key), value)
    known = sorted([*_FIELDS, *_FLAGS, *FaultKind, *_SHORTHANDS, *_MODIFIERS])
    raise BadSetting(f"unknown setting {key!r}; the known settings are {', '.join(known)}")


def _fault(kind: FaultKind, value: str | None) -> Fault:
    if kind in _PLAIN_FAULTS:
        if value is not None:
            raise BadSetting(f"{str(kind)!r} takes no value")
        return Fault(kind=kind)
    if kind is FaultKind.HTML:
        return Fault(kind=kind, status=200 if value is None else status(value, 200))
    if kind is FaultKind.ERROR:
        return Fault(kind=kind, status=status(_given("error", value), 400))
    return Fault(kind=kind, at=int(str(_located(kind, _tokens, _given(kind, value)))))


def _with_modifiers(fault: object, modifiers: dict[str, object]) -> dict[str, object]:
    if not modifiers:
        return {}
    if not isinstance(fault, Fault):
        raise BadSetting("'code', 'retry', 'times' and 'for' need a fault in the same name")
    if "retry_after_s" in modifiers and fault.kind is not FaultKind.ERROR:
        raise BadSetting("'retry' is allowed only with 'error'")
    if "code" in modifiers and fault.kind not in (FaultKind.ERROR, FaultKind.ERROR_FRAME):
        raise BadSetting("'code' is allowed only with 'error' and 'errorframe'")
    return {"fault": msgspec.structs.replace(fault, **modifiers)}


def _given(key: str, value: str | None) -> str:
    if value is None:
        raise BadSetting(f"{str(key)!r} needs a value, as in '{key}=20'")
    return value


def _located(key: str, read: _Read, value: str) -> object:
    try:
        return read(value)
    except BadSetting as problem:
        raise BadSetting(f"{str(key)!r}: {problem}") from None


def _show_fields(behaviour: Behaviour) -> list[str]:
    plain = Behaviour()
    return [
        f"{key}={show(getattr(behaviour, attribute))}"
        for key, (attribute, _, _, show) in _FIELDS.items()
        if getattr(behaviour, attribute) != getattr(plain, attribute)
    ]


def _show_flags(behaviour: Behaviour) -> list[str]:
    return [key for key, (name, value) in _FLAGS.items() if getattr(behaviour, name) == value]


def _show_fault(fault: Fault | None) -> list[str]:
    if fault is None:
        return []
    plain = Fault(kind=fault.kind)
    return [_show_kind(fault)] + [
        f"{key}={show(getattr(fault, attribute))}"
        for key, (attribute, _, show) in _MODIFIERS.items()
        if getattr(fault, attribute) != getattr(plain, attribute)
    ]


def _show_kind(fault: Fault) -> str:
    if fault.kind in _PLAIN_FAULTS:
        return str(fault.kind)
    if fault.kind in (FaultKind.ERROR, FaultKind.HTML):
        return f"{fault.kind}={fault.status}"
    return f"{fault.kind}={fault.at}"
