"""Validates the messages of a chat request and flattens their content parts.

The result is the neutral form from which the provider formats build their requests.
"""

from collections.abc import Sequence
from operator import is_

from actors.turn.model_call import JSON
from web.content_parts import flat_parts
from web.errors import ApiError, invalid

Message = dict[str, JSON]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def chat_messages(messages: Sequence[JSON]) -> list[Message]:
    """Return the messages as the providers get them.

    Fields that are not checked here are passed on unchanged. Raises `ApiError` (400) with the path
    of the invalid field.
    """
    return [
        # Fast path: nearly all messages look like this, and the check takes a tenth of the time.
        message
        if (
            type(message) is dict
            and type(message.get("content")) is str
            and message.get("role") in _PLAIN
            and "tool_calls" not in message
        )
        else _message(message, f"messages[{index}]")
        for index, message in enumerate(messages)
    ]


_PLAIN = ("user", "assistant", "system")


def _message(message: JSON, path: str) -> Message:
    if not isinstance(message, dict):
        raise _invalid(path, "must be an object.")
    _check_role(message.get("role"), f"{path}.role")
    _check_calls(message.get("tool_calls"), f"{path}.tool_calls")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return message
    path = f"{path}.content"
    if not isinstance(content, list):
        text = "must be a string or a list of content parts."
        raise invalid(f"{path}: {text}", param=path, code="invalid_content_part")
    parts = flat_parts(content, path)

    if len(parts) == len(content) and all(map(is_, parts, content)):
        return message
    return {**message, "content": parts}


def _check_role(role: JSON, path: str) -> None:
    if role is None:
        raise invalid(f"{path}: field required.", param=path, code="missing_required_parameter")
    if not isinstance(role, str) or role not in _ROLES:
        raise _invalid(path, f"must be one of {', '.join(sorted(_ROLES))}.")


def _check_calls(calls: JSON, path: str) -> None:
    if calls is None:
        return
    if not isinstance(calls, list):
        raise _invalid(path, "must be a list of tool calls.")
    for index, call in enumerate(calls):
        if not isinstance(call, dict):
            raise _invalid(f"{path}[{index}]", "must be an object.")


def _invalid(path: str, words: str) -> ApiError:
    return invalid(f"{path}: {words}", param=path, code="invalid_value")
