"""Request parameters that end a simulated answer early: token limits and stop strings."""

from collections.abc import Mapping

from msgspec import Struct

from actors.turn.model_call import JSON


class BadParameter(ValueError):
    """A parameter value that is rejected with 400; `param` is the parameter's name."""

    def __init__(self, param: str, message: str) -> None:
        super().__init__(message)
        self.param = param


class Limits(Struct, frozen=True):
    """Conditions that end an answer early; `max_tokens` is None without a limit."""

    max_tokens: int | None
    stop: tuple[str, ...]


def read_limits(parameters: Mapping[str, JSON]) -> Limits:
    """Read `max_completion_tokens` (or `max_tokens`) and `stop`; raises `BadParameter`.

    `n` other than 1 is rejected too, since a simulated model gives one answer.
    """
    if parameters.get("n") not in (None, 1):
        raise BadParameter("n", "n must be 1: a simulated model gives one answer.")
    for name in ("max_completion_tokens", "max_tokens"):
        if parameters.get(name) is not None:
            return Limits(_whole(name, parameters[name]), _stop(parameters.get("stop")))
    return Limits(None, _stop(parameters.get("stop")))


def until_stop(text: str, stop: tuple[str, ...]) -> str:
    """Return the text before the first stop string."""
    found = [index for word in stop if (index := text.find(word)) >= 0]
    return text[: min(found, default=len(text))]


def _whole(name: str, value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise BadParameter(name, f"{name} must be an integer of at least 1.")
    return value


def _stop(value: JSON) -> tuple[str, ...]:
    given = value if isinstance(value, list) else [value]
    words = tuple(word for word in given if isinstance(word, str))
    if value is not None and len(words) < len(given):
        raise BadParameter("stop", "stop must be a string or a list of strings.")
    return tuple(word for word in words if word)
