"""Loads the configuration from file, environment and command line; later sources win."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from web.config.complaints import Layer, complaints
from web.config.config import Config
from web.config.environment import Tree, environment


class ConfigError(Exception):
    """An unusable configuration; `lines` has one problem each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(
    path: Path | None = None, flags: Mapping[str, Mapping[str, object]] | None = None
) -> Config:
    """Return the effective configuration. Raise `ConfigError`.

    `path` is the file; by default the one that `TROUPER_CONFIG` names, if any. `flags` holds the
    command-line settings by section and key. Secrets are resolved here, once.
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
    """Merge tables key by key; any other value in `above` replaces the one in `below`."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, Mapping)
        merged[key] = _over(under, value) if both else value  # type: ignore[arg-type]  # both is checked
    return merged
