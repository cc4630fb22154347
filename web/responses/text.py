"""Converts the `text` parameter: the answer's format and verbosity."""

from collections.abc import Mapping

from msgspec import Struct

from actors.turn.model_call import JSON
from web.responses.items import LONGEST_NAME, wrong

Object = dict[str, JSON]

_FORMATS = ("text", "json_object", "json_schema")
_VERBOSITIES = ("low", "medium", "high")


class TextFormat(Struct, frozen=True):
    """The format of the answer that a request asks for."""

    parameters: Object
    """Parameters of the model call, in the form of Chat Completions."""
    shown: Object
    """The `text` field of the response object."""


def response_format(given: Mapping[str, JSON] | None) -> TextFormat:
    """Validate and convert `text`; raises `ApiError` (400)."""
    text = given or {}
    parameters: Object = {}
    shown: Object = {"format": {"type": "text"}, "verbosity": None}
    if (format := text.get("format")) is not None:
        shown["format"] = format
        if (wanted := _response_format(format)) is not None:
            parameters["response_format"] = wanted
    if (verbosity := text.get("verbosity")) is not None:
        if verbosity not in _VERBOSITIES:
            raise wrong("text.verbosity", f"must be one of {', '.join(_VERBOSITIES)}.")
        parameters["verbosity"] = shown["verbosity"] = verbosity
    return TextFormat(parameters, shown)


def _response_format(format: JSON) -> Object | None:
    if not isinstance(format, dict):
        raise wrong("text.format", "must be an object.")
    match format.get("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            return {"type": "json_schema", "json_schema": _schema(format)}
        case None:
            raise wrong("text.format.type", "field required.", "missing_required_parameter")
    raise wrong("text.format.type", f"must be one of {', '.join(_FORMATS)}.")


def _schema(format: Object) -> Object:
    for field, kind, words in (("name", str, "a string"), ("schema", dict, "a JSON schema")):
        path, value = f"text.format.{field}", format.get(field)
        if value is None:
            raise wrong(path, "field required.", "missing_required_parameter")
        if not isinstance(value, kind):
            raise wrong(path, f"must be {words}.")
    if not 0 < len(str(format["name"])) <= LONGEST_NAME:
        raise wrong("text.format.name", f"must be a string of 1 to {LONGEST_NAME} characters.")
    return {key: value for key, value in format.items() if key != "type" and value is not None}
