"""Parses JSON request bodies, for all wire formats."""

from collections.abc import Mapping

import msgspec

from web.simulate.wire import BadCall


def json_object(body: bytes) -> dict[str, object]:
    """Return the JSON object in a request body. Raises `BadCall`."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadCall(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise BadCall("the body is not a JSON object")
    return document


def camel(fields: Mapping[str, object]) -> dict[str, object]:
    """Return the fields with camel-case names; protocol buffer APIs accept snake case too."""
    return {_camel(name): value for name, value in fields.items()}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)
