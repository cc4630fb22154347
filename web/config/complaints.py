"""Turns what pydantic found wrong into lines for an operator: where, what, and what to do."""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from web.config.reference import keys_at
from web.config.upstreams import FORMATS

Place = tuple[str | int, ...]
_NAMED = ("providers", "models")
"""Sections in which the operator names the tables."""
_SHOWABLE = re.compile(r"int|float|bool|greater|less|literal|enum|finite")
"""Errors whose input is no secret, so that it may be repeated."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Layer(NamedTuple):
    """One source of settings; `name` is how an operator knows it."""

    name: str
    tree: Mapping[str, object]
    is_environment: bool = False


def complaints(error: ValidationError, layers: Sequence[Layer]) -> list[str]:
    """One line for each problem; the layers come in the order of their precedence."""
    lines = []
    for detail in error.errors(include_url=False):
        for place, text in _problems(detail):
            lines.append(_source(place, layers, text))
    return lines


def _problems(detail: ErrorDetails) -> list[tuple[Place, str]]:
    context = detail.get("ctx", {})
    if detail["type"] == "misplaced":
        return list(context["problems"])
    place = detail["loc"]
    if detail["type"] == "too_short" and detail["input"]:
        return []  # it is only short of the items that were refused, and those have their lines
    if detail["type"] == "union_tag_not_found":
        return [((*place, "format"), f"is required; one of {', '.join(FORMATS)}")]
    if detail["type"] == "union_tag_invalid":
        return [((*place, "format"), f"must be one of {', '.join(FORMATS)}")]
    return [(_without_format(place), _what(detail, place))]


def _what(detail: ErrorDetails, place: Place) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(place)
        case "missing":
            return "is required"
        case "too_short":
            return "must not be empty"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table"
        case "tuple_type":
            return "must be a list"
        case "string_pattern_mismatch":
            return "must be a URL, such as sqlite:///trouper.db"
        case "value_error":
            return str(detail["ctx"]["error"])
    text = detail["msg"].replace("Input should be", "must be", 1).split(", unable to parse")[0]
    if _SHOWABLE.search(detail["type"]) and not isinstance(detail["input"], dict | list):
        return f"{text}, not {detail['input']!r}"
    return text


def _unknown(place: Place) -> str:
    known = keys_at(tuple(str(part) for part in place[:-1]))
    close = get_close_matches(str(place[-1]).lower(), known, n=1, cutoff=0.5)
    what = "section" if len(place) == 1 else "key"
    if close:
        return f"unknown {what}, did you mean {close[0]}?"
    return f"unknown {what}; there are {', '.join(known)}"


def _without_format(place: Place) -> Place:
    """Pydantic puts a provider's format after its name, where no operator wrote it."""
    return (*place[:2], *place[3:]) if place[0] == "providers" and len(place) > 2 else place


def _source(place: Place, layers: Sequence[Layer], text: str) -> str:
    depth, layer = max(
        ((_depth(layer.tree, place), layer) for layer in layers), key=lambda found: found[0]
    )
    if layer.is_environment and depth:
        name = "TROUPER_" + "__".join(str(part) for part in place if isinstance(part, str)).upper()
        return f"{layer.name}: {name}: {text}"
    return f"{layer.name}: {written(place)}: {text}"


def _depth(tree: object, place: Place) -> int:
    """How far a layer goes along with the place: the guilty one goes furthest."""
    depth = 0
    for part in place:
        if not (isinstance(tree, Mapping) and part in tree):
            break
        tree, depth = tree[part], depth + 1
    return depth


def written(place: Place) -> str:
    """A place as it is written in TOML: `[providers.openai] base_url`, `[models.x] routes[0]`."""
    cut = 2 if place[0] in _NAMED else 1
    table = ".".join(quoted(str(part)) for part in place[:cut])
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place[cut:])
    return f"[{table}] {keys[1:]}".rstrip() if keys else f"[{table}]"


def quoted(key: str) -> str:
    """A key of TOML, in quotes where it needs them."""
    return key if _BARE.fullmatch(key) else text(key)


def text(value: str) -> str:
    """A string of TOML: JSON's, but for one character."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
