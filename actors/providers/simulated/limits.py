"""The parameters that a simulated model obeys, and what it says to values it cannot."""

from collections.abc import Mapping

from msgspec import Struct

from actors.providers.base import JSON


class BadParameter(ValueError):
    """A parameter's value that is a 400; `param` is its name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Limits(Struct, frozen=True):
    """Where an answer ends before its natural end."""

    max_tokens: int | None
    stop: tuple[str, ...]


def read_limits(parameters: Mapping[str, JSON]) -> Limits:
    """`max_completion_tokens` (or `max_tokens`) and `stop`; raises `BadParameter`.

    `n` other than 1 is refused too: a simulated model has one answer.
    """
    if parameters.get("n") not in (None, 1):
        raise BadParameter("n", "A simulated model gives one answer: n has to be 1.")
    for name in ("max_completion_tokens", "max_tokens"):
        if parameters.get(name) is not None:
            return Limits(_whole(name, parameters[name]), _stop(parameters.get("stop")))
    return Limits(None, _stop(parameters.get("stop")))


def until_stop(text: str, stop: tuple[str, ...]) -> str:
    """The text up to the first stop string."""
    found = [place for word in stop if (place := text.find(word)) >= 0]
    return text[: min(found, default=len(text))]


def _whole(name: str, value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadParameter(name, f"{name} has to be a whole number from 1 on.")
    return value


def _stop(value: JSON) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    words = tuple(word for word in given if isinstance(word, str))
    if value is not None and len(words) < len(given):
        raise BadParameter("stop", "stop has to be a string or a list of strings.")
    return tuple(word for word in words if word)
