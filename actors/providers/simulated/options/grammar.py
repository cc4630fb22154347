"""Grammar of simulated model names and scenario files: parses both into `Behaviour`.

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

A scenario file maps model names to the same settings in TOML:

    [defaults]              # settings of every model that doesn't set them itself
    delay = "5ms"

    [models.primary]
    tokens = 60
    cut = 40

    [models.backup]
    noprefill = true
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping

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


class BadModelName(ValueError):
    """A model name or scenario that the grammar doesn't allow; the message names the error."""


def _count(least: int, most: int = MAX_TOKENS) -> Callable[[str], int]:
    """Return a parser of integers from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ValueError(f"{text!r} is not an integer")
        if not least <= int(text) <= most:
            raise ValueError(f"{text} is not between {least} and {most}")
        return int(text)

    return read


def _duration(text: str) -> float:
    """Parse a duration such as `20ms`, `1.5s`, `2m` or `0` into seconds."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 20ms, 1.5s, 2m or 0")
    return _seconds(match[1], match[2])


def _seconds(text: str, unit: str = "s") -> float:
    """Parse a bare number, as in a `Retry-After` header, into seconds."""
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a number") from None
    value = {"ms": number / 1000, "m": number * 60}.get(unit, number)
    if not 0 <= value <= _DAY_S:  # nan isn't either
        raise ValueError(f"{value:g} s is not between 0 and {_DAY_S:g} s")
    return value


def _word(text: str) -> str:
    """Parse an error code, which consists of letters, digits, `_`, `.` and `-`."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        raise ValueError(f"{text!r} may contain only letters, digits, '_', '.' and '-'")
    return text


def _resume(text: str) -> Resume:
    try:
        return Resume(text)
    except ValueError:
        raise ValueError(f"{text!r} is not one of {', '.join(Resume)}") from None


class _Setting(Struct, frozen=True):
    """A key of the grammar: the attribute that it sets, and the parser of its value."""

    attribute: str
    read: Callable[[str], object] | None = None
    """Parser; None for a key that takes no value."""
    alone: object = None
    """Value of the attribute if only the key is given; None for a key that needs a value."""
    faults: Iterable[FaultKind] = ()
    """Faults that an option of a fault applies to."""


def _fault(
    kind: FaultKind, field: str, read: Callable[[str], object], alone: Fault | None = None
) -> _Setting:
    """Return the setting of a fault whose value is this field of it."""
    replace = msgspec.structs.replace
    return _Setting("fault", lambda text: replace(Fault(kind=kind), **{field: read(text)}), alone)


def _error(status: int, code: str | None = None) -> Fault:
    return Fault(kind=FaultKind.ERROR, status=status, code=code)


def _rate_limited(text: str) -> Fault:
    return Fault(kind=FaultKind.ERROR, status=429, retry_after_s=_seconds(text), times=1)


_ALONE = (FaultKind.HANG, FaultKind.REFUSE, FaultKind.SILENT, FaultKind.GARBAGE)
"""Faults without a value."""

_SETTINGS = {
    "tokens": _Setting("tokens", _count(1)),
    **{key: _Setting(f"{key}_s", _duration) for key in ("head", "first", "delay")},
    "chunk": _Setting("chunk", _count(1, 1000)),
    "tool": _Setting("tool", _count(1, 16), alone=1),
    "reasoning": _Setting("reasoning", _count(1), alone=24),
    "filter": _Setting("filter", _count(0)),
    "badjson": _Setting("badjson", _count(0)),
    "resume": _Setting("resume", _resume),
    **{str(style): _Setting("style", alone=style) for style in set(Style) - {Style.PROSE}},
    "refusal": _Setting("refusal", alone=True),
    **{f"no{key}": _Setting(key, alone=False) for key in ("usage", "done", "prefill")},
    **{str(kind): _fault(kind, "at", _count(0)) for kind in set(FaultKind) - OPENING_FAULTS},
    **{str(kind): _Setting("fault", alone=Fault(kind=kind)) for kind in _ALONE},
    "error": _fault(FaultKind.ERROR, "status", _count(400, 599)),
    "html": _fault(FaultKind.HTML, "status", _count(200, 599), Fault(kind=FaultKind.HTML)),
    "429": _Setting("fault", _rate_limited, alone=_error(429)),
    "context": _Setting("fault", alone=_error(400, "context_length_exceeded")),
    "policy": _Setting("fault", alone=_error(400, "content_policy_violation")),
    "code": _Setting("code", _word, faults=(FaultKind.ERROR, FaultKind.ERROR_FRAME)),
    "retry": _Setting("retry_after_s", _seconds, faults=(FaultKind.ERROR,)),
    "times": _Setting("times", _count(1, 1_000_000), faults=FaultKind),
    "for": _Setting("for_s", _duration, faults=FaultKind),
}
"""Settings of a `Behaviour`, and at the end the options of its `Fault`."""


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
    except ValueError as problem:
        raise BadModelName(f"simulated model {voice!r}: {problem}") from None
    return msgspec.structs.replace(base or Behaviour(), voice=voice, **changes)


def _changes(settings: Iterable[str]) -> dict[str, object]:
    """Return the attributes of `Behaviour` that the settings set."""
    changes: dict[str, object] = {}
    options: dict[str, object] = {}
    for item in settings:
        key, equals, text = item.partition("=")
        setting = _setting(key)
        found = options if setting.faults else changes
        if setting.attribute in found:
            raise ValueError(f"{key!r}: {setting.attribute} is set twice")
        found[setting.attribute] = _value(key, setting, text if equals else None)
    if options:
        changes["fault"] = _with_options(changes.get("fault"), options)
    return changes


def _setting(key: str) -> _Setting:
    if key not in _SETTINGS:
        known = ", ".join(sorted(_SETTINGS))
        raise ValueError(f"unknown setting {key!r}; the known settings are {known}")
    return _SETTINGS[key]


def _value(key: str, setting: _Setting, text: str | None) -> object:
    if text is None and setting.alone is None:
        raise ValueError(f"{key!r} needs a value, as in '{key}=20'")
    if text is None:
        return setting.alone
    if setting.read is None:
        raise ValueError(f"{key!r} takes no value")
    try:
        return setting.read(text)
    except ValueError as problem:
        raise ValueError(f"{key!r}: {problem}") from None


def _with_options(fault: object, options: dict[str, object]) -> Fault:
    if not isinstance(fault, Fault):
        raise ValueError("'code', 'retry', 'times' and 'for' need a fault in the same name")
    for key, option in _SETTINGS.items():
        if not (option.faults and option.attribute in options):
            continue
        if getattr(fault, option.attribute):  # `429=2` and `context` set some
            raise ValueError(f"{key!r}: {option.attribute} is set twice")
        if fault.kind not in option.faults:
            kinds = " and ".join(map(repr, map(str, option.faults)))
            raise ValueError(f"{key!r} is allowed only with {kinds}")
    return msgspec.structs.replace(fault, **options)


class Scenario(Struct, frozen=True):
    """The models of a scenario file, and the default settings of all other models."""

    models: Mapping[str, Behaviour] = {}
    defaults: Behaviour = Behaviour()

    def behaviour(self, name: str) -> Behaviour:
        """Return the behaviour of the model `name`, from the file or else from its name.

        Raises `BadModelName`.
        """
        return self.models.get(name) or parse_model_name(name, self.defaults)


def load_scenario(toml: str) -> Scenario:
    """Parse the text of a scenario file.

    Raises `BadModelName`, whose message names the wrong table or key.
    """
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as problem:
        raise BadModelName(f"the scenario is not valid TOML: {problem}") from None
    if unknown := document.keys() - {"defaults", "models"}:
        known = "the known tables are 'defaults' and 'models'"
        raise BadModelName(f"unknown table {min(unknown)!r}; {known}")
    defaults = behaviour("sim", _settings("defaults", document.get("defaults", {})))
    models = {
        name: behaviour(name, _settings(f"models.{name}", settings), defaults)
        for name, settings in _table("models", document.get("models", {})).items()
    }
    return Scenario(models, defaults)


def _table(where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadModelName(f"{where} must be a table")
    return value


def _settings(where: str, value: object) -> list[str]:
    """Return a table's settings as a model name has them: `true` is a key without a value."""
    return [
        key if item is True else f"{key}={item}"
        for key, item in _table(where, value).items()
        if item is not False
    ]
