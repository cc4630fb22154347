"""Translates pydantic's validation errors into one line each for the operator.

A line names the source (file, environment, command line), the setting, what is wrong with it and
what to do.
"""

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from web.config.provider_settings import format_names
from web.config.reference import keys_at

SettingPath = tuple[str | int, ...]
_NAMED = ("providers", "models")
"""Sections whose tables are named by the operator."""
_REPLACED = {
    ("breaker", "failures"): "failure_share (0.5 opens a breaker when half of the calls fail)"
    " and minimum_requests",
}
"""Keys of earlier versions, with those that replace them."""
_SHOWABLE = re.compile(r"int|float|decimal|bool|greater|less|literal|enum|finite")
"""Types of errors whose input is never a secret and may be repeated in the message."""
_BARE = re.compile(r"[A-Za-z0-9_-]+")


class Layer(NamedTuple):
    """A source of settings, under the name that an operator knows it by."""

    name: str
    tree: Mapping[str, object]
    is_environment: bool = False


def complaints(error: ValidationError, layers: Sequence[Layer]) -> list[str]:
    """Return one line for each problem. `layers` are ordered by precedence, highest first."""
    lines = []
    for detail in error.errors(include_url=False):
        for path, text in _problems(detail):
            lines.append(_source(path, layers, text))
    return lines


def _problems(detail: ErrorDetails) -> list[tuple[SettingPath, str]]:
    context = detail.get("ctx", {})
    if detail["type"] == "misplaced":
        return list(context["problems"])
    path = detail["loc"]
    if detail["type"] == "too_short" and detail["input"]:
        # The list is only too short because items were refused, and these have their own lines.
        return []
    if detail["type"] == "union_tag_not_found":
        return [((*path, "format"), f"is required; one of {', '.join(format_names())}")]
    if detail["type"] == "union_tag_invalid":
        return [((*path, "format"), f"must be one of {', '.join(format_names())}")]
    # pydantic adds the tag of the provider's class to the path of a union.
    tagged = path[0] == "providers" and len(path) > 2
    return [((*path[:2], *path[3:]) if tagged else path, _message(detail, path))]


def _message(detail: ErrorDetails, path: SettingPath) -> str:
    match detail["type"]:
        case "extra_forbidden":
            return _unknown(path)
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
    text = re.sub(r"^(Decimal i|I)nput should", "must", detail["msg"]).split(", unable to parse")[0]
    if _SHOWABLE.search(detail["type"]) and not isinstance(detail["input"], dict | list):
        return f"{text}, not {detail['input']!r}"
    return text


def _unknown(path: SettingPath) -> str:
    if path in _REPLACED:
        return f"was replaced by {_REPLACED[path]}"
    known = keys_at(tuple(str(part) for part in path[:-1]))
    close = get_close_matches(str(path[-1]).lower(), known, n=1, cutoff=0.5)
    kind = "section" if len(path) == 1 else "key"
    if close:
        return f"unknown {kind}, did you mean {close[0]}?"
    return f"unknown {kind}; the {kind}s are {', '.join(known)}"


def _source(path: SettingPath, layers: Sequence[Layer], text: str) -> str:
    depth, layer = max(
        ((_depth(layer.tree, path), layer) for layer in layers), key=lambda found: found[0]
    )
    if layer.is_environment and depth:
        name = "TROUPER_" + "__".join(str(part) for part in path if isinstance(part, str)).upper()
        return f"{layer.name}: {name}: {text}"
    return f"{layer.name}: {written(path)}: {text}"


def _depth(tree: object, path: SettingPath) -> int:
    """Return how many steps of `path` exist in `tree`.

    The layer with the deepest match is the one that set the wrong value.
    """
    depth = 0
    for part in path:
        if not (isinstance(tree, Mapping) and part in tree):
            break
        tree, depth = tree[part], depth + 1
    return depth


def written(path: SettingPath) -> str:
    """Return `path` as TOML writes it: `[providers.openai] base_url`, `[models.x] routes[0]`."""
    cut = 2 if path[0] in _NAMED else 1
    table = ".".join(quoted(str(part)) for part in path[:cut])
    keys = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path[cut:])
    return f"[{table}] {keys[1:]}".rstrip() if keys else f"[{table}]"


def quoted(key: str) -> str:
    """Return a TOML key, quoted if it has to be."""
    return key if _BARE.fullmatch(key) else text(key)


def text(value: str) -> str:
    """Return a TOML string: as in JSON, except that TOML also escapes DEL (U+007F)."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
