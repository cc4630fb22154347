"""Reads the configuration: file, then environment, then command line; the later ones win."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from web.config.complaints import Layer, complaints
from web.config.config import Config
from web.config.environment import Tree, environment


class ConfigError(Exception):
    """The configuration cannot be used; `lines` says why, one problem each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(
    path: Path | None = None, flags: Mapping[str, Mapping[str, object]] | None = None
) -> Config:
    """The effective configuration; raises `ConfigError`.

    `path` is the file, by default the one that `TROUPER_CONFIG` names, by default none. `flags`
    is what the command line says, as sections and keys. Secrets are resolved now.
    """
    named = path or _path_of_environment()
    file = _read(named) if named else {}
    layers = [
        Layer("command line", flags or {}),
        Layer("environment", environment(file), is_environment=True),
        Layer(str(named) if named else "defaults", file),
    ]
    merged: Tree = {}
    for layer in reversed(layers):
        merged = _over(merged, layer.tree)
    try:
        return Config.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(complaints(error, layers)) from None


def _path_of_environment() -> Path | None:
    named = os.environ.get("TROUPER_CONFIG")
    return Path(named) if named else None


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None


def _over(below: Tree, above: Mapping[str, object]) -> Tree:
    """Tables are merged key by key; any other value replaces the one below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, Mapping)
        merged[key] = _over(under, value) if both else value  # type: ignore[arg-type]  # both is checked
    return merged
