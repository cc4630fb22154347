"""Writes the effective configuration as TOML, with its secrets masked."""

import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit, urlunsplit

from pydantic import BaseModel

from web.config.complaints import quoted, text
from web.config.config import Config
from web.config.secret import MASK, Secret


def as_toml(config: Config) -> str:
    """Return the configuration as TOML with every default.

    The text can be loaded again unless it has a masked secret, `***`, in it.
    """
    return "\n".join(_table((), config)).strip() + "\n"


def _table(path: tuple[str, ...], table: BaseModel | Mapping[str, object]) -> Iterator[str]:
    items = dict(table)
    values = {k: v for k, v in items.items() if v is not None and not _is_table(v)}
    if path and values:
        yield f"\n[{'.'.join(quoted(part) for part in path)}]"
    for key, value in values.items():
        yield f"{quoted(key)} = {_value(table, key, value)}"
    for key, value in items.items():
        if isinstance(value, BaseModel | Mapping) and _is_table(value):
            yield from _table((*path, key), value)


def _is_table(value: object) -> bool:
    return isinstance(value, BaseModel | Mapping) and not isinstance(value, Secret)


def _value(table: object, key: str, value: object) -> str:
    if key == "url":
        return text(_without_password(str(value)))
    written = (
        table.model_dump(mode="json", include={key})[key] if isinstance(table, BaseModel) else value
    )
    return _written(written)


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
