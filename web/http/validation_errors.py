"""Validates request bodies; pydantic's errors become one API error with the path of the field."""

import re
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from web.http.api_error import ApiError, invalid

M = TypeVar("M", bound=BaseModel)


def validated(model: type[M], raw: object) -> M:
    """Return the body's object as `model`. Raises `ApiError` (400) if it is invalid."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise first_error(error) from None


def first_error(error: ValidationError) -> ApiError:
    """Return the most specific error, with a note if other fields are invalid too."""
    errors = error.errors(include_url=False, include_context=True, include_input=False)
    # A union reports an error for each member. "List too long" is more useful than "must be a
    # string", and a longer path is more specific.
    first = min(errors, key=lambda error: (error["type"] != "too_long", -len(error["loc"])))
    path = _path(first)
    others = len({error["loc"][:1] for error in errors}) > 1
    more = " (other fields are invalid too)" if others else ""
    code = "missing_required_parameter" if first["type"] == "missing" else "invalid_value"
    return invalid(f"{path}: {_message(first)}{more}", param=path, code=code)


def _message(error: ErrorDetails) -> str:
    if error["loc"] and error["loc"][-1] == "n":
        return "only one choice per request (n = 1) is supported."
    message = error["msg"]
    return message[:1].lower() + message[1:] + "."


_UNION_STEPS = re.compile(r"str|list\[.*\]|dict\[.*\]")


def _path(error: ErrorDetails) -> str:
    """Return the path as in `stop[1]`, without the steps that only name a union's branch."""
    path = ""
    before: int | str = ""
    for step in error["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif before not in {"stop", "tool_choice"} or not _UNION_STEPS.fullmatch(step):
            path += f".{step}" if path else step
        before = step
    return path
