"""Grammar of simulated model names: parses a name into a `Behaviour`.

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

import re
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from actors.providers.simulated.options.behaviour import (
    OPENING_FAULTS,
    Behaviour,
    Fault,
    FaultKind,
    Resume,
    Style,
)

MAX_TOKENS = 100_000
"""Maximum length of an answer; building a longer one would block other tasks for too long."""
_DAY_S = 86_400.0
_DURATION = re.compile(r"([0-9.e+-]+)(ms|s|m)")
_PER_UNIT: dict[str, Callable[[float], float]] = {
    "ms": lambda n: n / 1000,
    "s": lambda n: n,
    "m": lambda n: n * 60,
}


class BadModelName(ValueError):
    """A model name or scenario that the grammar doesn't allow; the message names the error."""


class BadSetting(ValueError):
    """A setting that the grammar doesn't allow; the message says what is allowed."""


def _count(least: int, most: int = MAX_TOKENS) -> Callable[[str], int]:
    """Return a parser of integers from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadSetting(f"{text!r} is not an integer")
        if not least <= int(text) <= most:
            raise BadSetting(f"{text} is not between {least} and {most}")
        return int(text)

    return read


def _duration(text: str) -> float:
    """Parse a duration such as `20ms`, `1.5s`, `2m` or `0` into seconds."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadSetting(f"{text!r} is not a duration; write 20ms, 1.5s, 2m or 0")
    return _seconds(match[1], match[2])


def _seconds(text: str, unit: str = "s") -> float:
    """Parse a bare number, as in a `Retry-After` header, into seconds."""
    try:
        value = _PER_UNIT[unit](float(text))
    except ValueError:
        raise BadSetting(f"{text!r} is not a number") from None
    if not 0 <= value <= _DAY_S:  # nan isn't either
        raise BadSetting(f"{value:g} s is not between 0 and {_DAY_S:g} s")
    return value


def _word(text: str) -> str:
    """Parse an error code, which consists of letters, digits, `_`, `.` and `-`."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        raise BadSetting(f"{text!r} may contain only letters, digits, '_', '.' and '-'")
    return text


def _resume(text: str) -> Resume:
    try:
        return Resume(text)
    except ValueError:
        raise BadSetting(f"{text!r} is not one of {', '.join(Resume)}") from None


class _Setting(Struct, frozen=True):
    """A key of the grammar: the attribute that it sets, and the parser of its value."""

    attribute: str
    read: Callable[[str], object] | None = None
    """Parser; None for a key that takes no value."""
    alone: object = None
    """Value of the attribute if only the key is given; None for a key that needs a value."""
    faults: Iterable[FaultKind] = FaultKind
    """Faults that an option of a fault applies to."""


def _after_tokens(kind: FaultKind) -> _Setting:
    read = _count(0)
    return _Setting("fault", lambda text: Fault(kind=kind, at=read(text)))


def _with_status(kind: FaultKind, least: int, alone: Fault | None = None) -> _Setting:
    read = _count(least, 599)
    return _Setting("fault", lambda text: Fault(kind=kind, status=read(text)), alone)


def _rate_limited(text: str) -> Fault:
    return Fault(kind=FaultKind.ERROR, status=429, retry_after_s=_seconds(text), times=1)


def _rejected(code: str) -> _Setting:
    return _Setting("fault", alone=Fault(kind=FaultKind.ERROR, status=400, code=code))


_SETTINGS = {
    "tokens": _Setting("tokens", _count(1)),
    "head": _Setting("head_s", _duration),
    "first": _Setting("first_s", _duration),
    "delay": _Setting("delay_s", _duration),
    "chunk": _Setting("chunk", _count(1, 1000)),
    "tool": _Setting("tool", _count(1, 16), alone=1),
    "reasoning": _Setting("reasoning", _count(1), alone=24),
    "filter": _Setting("filter", _count(0)),
    "badjson": _Setting("badjson", _count(0)),
    "resume": _Setting("resume", _resume),
    "echo": _Setting("style", alone=Style.ECHO),
    "count": _Setting("style", alone=Style.COUNT),
    "unicode": _Setting("style", alone=Style.UNICODE),
    "refusal": _Setting("refusal", alone=True),
    "nousage": _Setting("usage", alone=False),
    "nodone": _Setting("done", alone=False),
    "noprefill": _Setting("prefill", alone=False),
    **{str(kind): _after_tokens(kind) for kind in set(FaultKind) - OPENING_FAULTS},
    "hang": _Setting("fault", alone=Fault(kind=FaultKind.HANG)),
    "error": _with_status(FaultKind.ERROR, 400),
    "html": _with_status(FaultKind.HTML, 200, Fault(kind=FaultKind.HTML)),
    "refuse": _Setting("fault", alone=Fault(kind=FaultKind.REFUSE)),
    "silent": _Setting("fault", alone=Fault(kind=FaultKind.SILENT)),
    "garbage": _Setting("fault", alone=Fault(kind=FaultKind.GARBAGE)),
    "429": _Setting("fault", _rate_limited, alone=Fault(kind=FaultKind.ERROR, status=429)),
    "context": _rejected("context_length_exceeded"),
    "policy": _rejected("content_policy_violation"),
}
"""Settings of a `Behaviour`."""

_FAULT_OPTIONS = {
    "code": _Setting("code", _word, faults=(FaultKind.ERROR, FaultKind.ERROR_FRAME)),
    "retry": _Setting("retry_after_s", _seconds, faults=(FaultKind.ERROR,)),
    "times": _Setting("times", _count(1, 1_000_000)),
    "for": _Setting("for_s", _duration),
}
"""Settings of its `Fault`."""


def parse_model_name(name: str, base: Behaviour | None = None) -> Behaviour:
    """Parse a model name; settings that it leaves out are taken from `base`.

    Raises `BadModelName`.
    """
    voice, colon, rest = name.partition(":")
    return behaviour(voice, rest.split(",") if colon else (), base)


def behaviour(voice: str, settings: Iterable[str], base: Behaviour | None = None) -> Behaviour:
    """Return the behaviour of `voice` with these settings, each a key or `key=value`.

    Raises `BadModelName`.
    """
    if not voice or ":" in voice:
        raise BadModelName(f"a model name must begin with a word without a colon, not {voice!r}")
    try:
        changes = _changes(settings)
    except BadSetting as problem:
        raise BadModelName(f"simulated model {voice!r}: {problem}") from None
    return msgspec.structs.replace(base or Behaviour(), voice=voice, **changes)


def _changes(settings: Iterable[str]) -> dict[str, object]:
    """Return the attributes of `Behaviour` that the settings set."""
    changes: dict[str, object] = {}
    options: dict[str, object] = {}
    for item in settings:
        key, equals, text = item.partition("=")
        setting, found = _setting(key), options if key in _FAULT_OPTIONS else changes
        if setting.attribute in found:
            raise BadSetting(f"{key!r}: {setting.attribute} is set twice")
        found[setting.attribute] = _value(key, setting, text if equals else None)
    if options:
        changes["fault"] = _with_options(changes.get("fault"), options)
    return changes


def _setting(key: str) -> _Setting:
    setting = _SETTINGS.get(key) or _FAULT_OPTIONS.get(key)
    if setting is None:
        known = ", ".join(sorted([*_SETTINGS, *_FAULT_OPTIONS]))
        raise BadSetting(f"unknown setting {key!r}; the known settings are {known}")
    return setting


def _value(key: str, setting: _Setting, text: str | None) -> object:
    if text is None and setting.alone is None:
        raise BadSetting(f"{key!r} needs a value, as in '{key}=20'")
    if text is None:
        return setting.alone
    if setting.read is None:
        raise BadSetting(f"{key!r} takes no value")
    try:
        return setting.read(text)
    except BadSetting as problem:
        raise BadSetting(f"{key!r}: {problem}") from None


def _with_options(fault: object, options: dict[str, object]) -> Fault:
    if not isinstance(fault, Fault):
        raise BadSetting("'code', 'retry', 'times' and 'for' need a fault in the same name")
    for key, option in _FAULT_OPTIONS.items():
        if option.attribute not in options:
            continue
        if getattr(fault, option.attribute):  # `429=2` and `context` set some
            raise BadSetting(f"{key!r}: {option.attribute} is set twice")
        if fault.kind not in option.faults:
            kinds = " and ".join(map(repr, map(str, option.faults)))
            raise BadSetting(f"{key!r} is allowed only with {kinds}")
    return msgspec.structs.replace(fault, **options)
