"""What pydantic finds wrong with a request becomes one error, with the path of the field."""

import re

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from web.errors import ApiError, invalid


def first_complaint(error: ValidationError) -> ApiError:
    """The first error, and whether other fields have theirs."""
    errors = error.errors(include_url=False, include_context=True, include_input=False)
    first = min(errors, key=_specificity)
    path = _path(first)
    more = " (more is wrong)" if len({error["loc"][:1] for error in errors}) > 1 else ""
    return invalid(f"{path}: {_words(first)}{more}", param=path, code=_code(first))


def _specificity(error: ErrorDetails) -> tuple[bool, int]:
    # Of a union's complaints the one about the list says more than "must be a string".
    return error["type"] != "too_long", -len(error["loc"])


def _code(error: ErrorDetails) -> str:
    return "missing_required_parameter" if error["type"] == "missing" else "invalid_value"


def _words(error: ErrorDetails) -> str:
    if error["loc"] and error["loc"][-1] == "n":
        return "only one choice per request (n = 1) is supported."
    message = error["msg"]
    return message[:1].lower() + message[1:] + "."


_UNION_STEPS = re.compile(r"str|list\[.*\]|dict\[.*\]")


def _path(error: ErrorDetails) -> str:
    """`stop[1]`; the steps that only name a union's branch are left out."""
    path = ""
    before: int | str = ""
    for step in error["loc"]:
        if isinstance(step, int):
            path += f"[{step}]"
        elif before not in {"stop", "tool_choice"} or not _UNION_STEPS.fullmatch(step):
            path += f".{step}" if path else step
        before = step
    return path
