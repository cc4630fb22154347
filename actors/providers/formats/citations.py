"""Reads citations of answers into the form of the Responses API. Pure."""

from collections.abc import Mapping

import msgspec

from actors.turn.chunks import AnnotationChunk
from actors.turn.messages import JSON

_URL = {"url": "", "title": "", "start_index": 0, "end_index": 0}
"""Fields of a citation of a URL, which clients require, with their defaults."""


def citation(given: JSON) -> AnnotationChunk | None:
    """Return the chunk for a citation, or None for anything else.

    Chat has the fields in an object named like the type. Some servers send URLs alone.
    """
    if isinstance(given, str):
        return url_citation({"url": given})
    if not isinstance(given, dict) or not isinstance(kind := given.get("type"), str):
        return None
    inner = given.get(kind)
    fields = {name: value for name, value in given.items() if name != kind}
    fields |= inner if isinstance(inner, dict) else {}
    return url_citation(fields) if kind == "url_citation" else _chunk(fields)


def url_citation(fields: Mapping[str, JSON]) -> AnnotationChunk:
    """Return the chunk for a citation of a URL."""
    given = {name: value for name, value in fields.items() if value is not None}
    return _chunk({"type": "url_citation", **_URL, **given})


def _chunk(annotation: dict[str, JSON]) -> AnnotationChunk:
    return AnnotationChunk(msgspec.json.encode(annotation).decode())
