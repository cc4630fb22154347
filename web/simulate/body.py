"""The JSON that requests have for a body, whatever the wire."""

from collections.abc import Mapping

import msgspec

from web.simulate.wire import BadCall


def json_object(body: bytes) -> dict[str, object]:
    """The object that a request's body is; raises `BadCall`."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
        raise BadCall(f"the body is not JSON: {problem}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def camel(fields: Mapping[str, object]) -> dict[str, object]:
    """The same with names in camel case: APIs of protocol buffers take either."""
    return {_camel(name): value for name, value in fields.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
