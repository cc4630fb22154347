"""Loads the configuration from file, environment and command line; later sources win.

`as_toml` writes it back with every default.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource

from web.config.config import Config
from web.config.error_messages import Layer, complaints, quoted, text
from web.config.field_types import MASK

Tree = dict[str, object]
_PREFIX = "TROUPER_"


class ConfigError(Exception):
    """An unusable configuration; `lines` has one problem each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = tuple(lines)


def load(
    path: Path | None = None, flags: Mapping[str, Mapping[str, object]] | None = None
) -> Config:
    """Return the effective configuration. Raises `ConfigError`.

    `path` is the file; by default the one that `TROUPER_CONFIG` names, if any. `flags` holds the
    command-line settings by section and key. Secrets are resolved here, once.
    """
    variable = os.environ.get("TROUPER_CONFIG")
    named = path or (Path(variable) if variable else None)
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


def _read(path: Path) -> Tree:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError([f"{path}: is not TOML: {error}"]) from None


def _over(below: Tree, above: Mapping[str, object]) -> Tree:
    """Merge tables key by key; any other value in `above` replaces the one in `below`."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, dict) and isinstance(value, Mapping)
        merged[key] = _over(under, value) if both else value  # type: ignore[arg-type]  # both is checked
    return merged


def environment(beneath: Mapping[str, object]) -> Tree:
    """Return the variables as a tree that can be merged over `beneath`, the tree of the file.

    A variable cannot spell every name of a model or provider. Its parts are therefore compared
    with the file's names ignoring case, and with `_` for anything but letters and digits.
    Unknown sections are kept, so that they are reported. Variables without `__` are ignored:
    Kubernetes sets `TROUPER_PORT` for a service called `trouper`.
    """
    known = _Variables(
        cast("type[BaseSettings]", Config),
        env_prefix=_PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
    )()
    return _aligned({**_unknown_sections(), **known}, beneath)


class _Variables(EnvSettingsSource):
    """Pydantic's source, except that only values that look like a table or list are JSON.

    So `TROUPER_MODELS__X__PRICE={"input":1}` works, and text that is not JSON reaches the
    validator of its key, which has the better error message.
    """

    def decode_complex_value(self, field_name: str, field: FieldInfo, value: object) -> object:
        """Decode JSON tables and lists, and return any other text unchanged."""
        if not (isinstance(value, str) and value.lstrip()[:1] in ("[", "{")):
            return value
        try:
            return cast("object", super().decode_complex_value(field_name, field, value))
        except ValueError:
            return value


def _unknown_sections() -> Tree:
    found: Tree = {}
    for name, value in os.environ.items():
        section, nested, key = name.removeprefix(_PREFIX).lower().partition("__")
        if name.startswith(_PREFIX) and nested and section not in Config.model_fields:
            found[section] = {key: value}
    return found


def _aligned(tree: Tree, beneath: Mapping[str, object]) -> Tree:
    names = {_plain(name): name for name in beneath}
    aligned: Tree = {}
    for key, value in tree.items():
        name = names.get(_plain(key), key)
        below = beneath.get(name)
        aligned[name] = (
            _aligned(value, below) if isinstance(value, dict) and isinstance(below, dict) else value
        )
    return aligned


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def as_toml(config: Config) -> str:
    """Return the configuration as TOML with every default.

    The text can be loaded again unless it has a masked secret, `***`, in it.
    """
    tree: dict[str, Tree] = config.model_dump(mode="json", exclude_none=True)
    tree["store"]["url"] = _without_password(config.store.url)
    return "\n".join(_table((), tree)).strip() + "\n"


def _table(path: tuple[str, ...], table: Mapping[str, object]) -> Iterator[str]:
    values = {key: value for key, value in table.items() if not isinstance(value, dict)}
    if path and values:
        yield f"\n[{'.'.join(quoted(part) for part in path)}]"
    for key, value in values.items():
        yield f"{quoted(key)} = {_written(value)}"
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _table((*path, key), value)


def _written(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_written(item) for item in value)}]"
    if isinstance(value, dict):
        pairs = (f"{quoted(key)} = {_written(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    return text(value) if isinstance(value, str) else json.dumps(value)


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    user, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{MASK}@{host}"))
