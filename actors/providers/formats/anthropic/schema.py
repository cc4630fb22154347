"""Makes JSON schemas such as Anthropic's structured outputs accept them. Pure.

Objects must not allow additional properties, and most limits on values are refused. As in
Anthropic's SDK, those are written in the description, so that the model may follow them. Source:
API guide "Structured outputs", "JSON Schema limitations".
"""

import msgspec

from actors.providers.formats.parameters import Object
from actors.turn.model_call import JSON

_KEPT = frozenset(
    {"$ref", "allOf", "anyOf", "const", "description", "enum", "required", "title", "type"}
)
_LISTS = ("allOf", "anyOf", "oneOf")
_MAPS = ("$defs", "definitions", "properties")
_ANNOTATIONS = frozenset({"$comment", "$id", "$schema", "default", "deprecated", "examples"})
"""Keywords without an effect on the values that are valid."""
_FORMATS = frozenset(
    {
        *("date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uri"),
        "uuid",
    }
)
_DEEPEST = 100
"""Nesting beyond which a schema is sent as it is; no model fills it in."""


def accepted_schema(schema: JSON, path: str, left_out: list[str], depth: int = 0) -> JSON:
    """Return the schema at `path` such as the API accepts it.

    The paths of limits that only the description has are added to `left_out`.
    """
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return schema
    accepted: Object = {}
    described: Object = {}
    for name, value in schema.items():
        at = f"{path}.{name}"
        if name in _LISTS and isinstance(value, list):
            found = [
                accepted_schema(one, f"{at}[{index}]", left_out, depth + 1)
                for index, one in enumerate(value)
            ]
            accepted["anyOf" if name == "oneOf" else name] = found
        elif name in _MAPS and isinstance(value, dict):
            accepted[name] = {
                key: accepted_schema(one, f"{at}.{key}", left_out, depth + 1)
                for key, one in value.items()
            }
        elif name == "items":
            accepted[name] = accepted_schema(value, at, left_out, depth + 1)
        elif name in _KEPT or _is_accepted(name, value):
            accepted[name] = value
        elif name != "additionalProperties" or value not in (True, False):
            described[name] = value
            left_out += [] if name in _ANNOTATIONS else [at]
    return _closed(accepted) | _description(accepted, described)


def _is_accepted(name: str, value: JSON) -> bool:
    return (name == "format" and value in _FORMATS) or (name == "minItems" and value in (0, 1))


def _closed(schema: Object) -> Object:
    """Return the schema without additional properties, if its values may be objects."""
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "object" not in kinds and not (kind is None and "properties" in schema):
        return schema
    return {"type": "object", "properties": {}} | schema | {"additionalProperties": False}


def _description(schema: Object, described: Object) -> Object:
    if not described:
        return {}
    limits = ", ".join(
        f"{name}: {msgspec.json.encode(value).decode()}" for name, value in described.items()
    )
    words = schema.get("description")
    return {"description": f"{words}\n\n{{{limits}}}" if words else f"{{{limits}}}"}
