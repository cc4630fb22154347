"""Parsers and formatters for the values of a simulated model's settings."""

import math
import re
from collections.abc import Callable
from enum import StrEnum

_DAY_S = 86_400.0
_DURATION = re.compile(r"([0-9.e+-]+)(ms|s|m)")
_PER_UNIT: dict[str, Callable[[float], float]] = {
    "ms": lambda n: n / 1000,
    "s": lambda n: n,
    "m": lambda n: n * 60,
}


class BadSetting(ValueError):
    """A value that can't be parsed; the message says what is allowed."""


def count(least: int, most: int) -> Callable[[str], int]:
    """Return a parser of integers from `least` to `most`."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise BadSetting(f"{text!r} is not an integer")
        if not least <= int(text) <= most:
            raise BadSetting(f"{text} is not between {least} and {most}")
        return int(text)

    return read


def status(text: str, least: int) -> int:
    """Parse an HTTP status from `least` to 599."""
    return count(least, 599)(text)


def duration(text: str) -> float:
    """Parse a duration such as `20ms`, `1.5s`, `2m` or `0` into seconds."""
    if text == "0":
        return 0.0
    match = _DURATION.fullmatch(text)
    if match is None:
        raise BadSetting(f"{text!r} is not a duration; write 20ms, 1.5s, 2m or 0")
    return _bounded(_PER_UNIT[match[2]](_number(match[1])))


def seconds(text: str) -> float:
    """Parse seconds written as a bare number, as in a `Retry-After` header."""
    return _bounded(_number(text))


def word(text: str) -> str:
    """Parse an error code, which consists of letters, digits, `_`, `.` and `-`."""
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", text):
        raise BadSetting(f"{text!r} may contain only letters, digits, '_', '.' and '-'")
    return text


def one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    """Return a parser of the values of an enumeration."""

    def read(text: str) -> StrEnum:
        try:
            return words(text)
        except ValueError:
            raise BadSetting(f"{text!r} is not one of {', '.join(words)}") from None

    return read


def show_duration(value: object) -> str:
    """Format seconds for `duration`, as whole seconds or milliseconds where that is exact."""
    length = float(str(value))
    if length == 0:
        return "0"
    if length.is_integer():
        return f"{int(length)}s"
    whole = round(length * 1000)
    return f"{whole}ms" if whole / 1000 == length else f"{length!r}s"


def show_number(value: object) -> str:
    """Format seconds for `seconds`, without a fraction where that is exact."""
    length = float(str(value))
    return str(int(length)) if length.is_integer() else repr(length)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadSetting(f"{text!r} is not a number") from None


def _bounded(value: float) -> float:
    if not math.isfinite(value) or not 0 <= value <= _DAY_S:
        raise BadSetting(f"{value:g} s is not between 0 and {_DAY_S:g} s")
    return value
