"""Converts the text format of a Responses request to the form of Chat Completions.

Source: OpenAI's API reference, "Create a response" (`text`).
"""

from collections.abc import Mapping

from msgspec import Struct

from web.surfaces.validation import LONGEST_NAME, Fields, Object

_FORMATS = ("text", "json_object", "json_schema")
_FORMAT_DEFAULTS: Mapping[str, Object] = {"json_schema": {"description": None, "strict": False}}
"""Fields that the response object has for each type of format, given or not."""
_VERBOSITIES = ("low", "medium", "high")


class TextFormat(Struct, frozen=True):
    """The requested format of the answer."""

    parameters: Object
    """Parameters of the model call, in the form of Chat Completions."""
    shown: Object
    """The `text` field of the response object."""


def response_format(given: Object | None) -> TextFormat:
    """Validate and convert `text`; raises `ApiError` (400)."""
    text = Fields(given or {}, "text")
    parameters: Object = {}
    shown: Object = {"format": {"type": "text"}, "verbosity": "medium"}
    if text.values.get("format") is not None:
        format = text.object("format")
        given = {name: value for name, value in format.values.items() if value is not None}
        shown["format"] = _FORMAT_DEFAULTS.get(str(given.get("type")), {}) | given
        if (wanted := _response_format(format)) is not None:
            parameters["response_format"] = wanted
    if (verbosity := text.one_of("verbosity", _VERBOSITIES)) is not None:
        parameters["verbosity"] = shown["verbosity"] = verbosity
    return TextFormat(parameters, shown)


def _response_format(format: Fields) -> Object | None:
    match format.required("type"):
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            format.text("name", longest=LONGEST_NAME)
            format.object("schema")
            given = {key: value for key, value in format.rest("type").items() if value is not None}
            return {"type": "json_schema", "json_schema": given}
    raise format.wrong("type", f"must be one of {', '.join(_FORMATS)}.")
