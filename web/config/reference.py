"""Lists every setting by inspecting the models.

Used to suggest keys in error messages and to test that the reference is complete.
"""

from collections.abc import Iterator
from typing import Annotated, NamedTuple, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from web.config.config import Config
from web.config.field_types import Secret

ANY_NAME = "*"
"""Placeholder in a path for the name of a provider or model, and for a list index."""

SettingPath = tuple[str, ...]
"""The path of a setting as pydantic's errors give it: a provider's name is followed by a tag."""


class Setting(NamedTuple):
    """One key of the configuration."""

    path: SettingPath
    field: FieldInfo

    @property
    def is_table(self) -> bool:
        """True if the key holds further keys and not a value; a list of tables is a value."""
        return bool(_tables(self.field.annotation)) and not _is_list(self.field.annotation)


def settings(model: type[BaseModel] = Config, path: SettingPath = ()) -> Iterator[Setting]:
    """Yield all keys, each table before its contents."""
    for key, field in model.model_fields.items():
        here = Setting((*path, key), field)
        yield here
        for between, table in _tables(field.annotation):
            yield from settings(table, (*here.path, *between))


def keys_at(path: SettingPath) -> list[str]:
    """Return the keys of a table; none if the operator chooses the names."""
    depth = len(path)
    inside = (s.path for s in settings() if len(s.path) == depth + 1)
    return [p[-1] for p in inside if all(k in (ANY_NAME, g) for k, g in zip(p, path, strict=False))]


def _tables(annotation: object) -> list[tuple[SettingPath, type[BaseModel]]]:
    """Return the tables that a key of this type holds, each with pydantic's extra path steps."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if annotation is Secret else [((), annotation)]
    if _is_list(annotation):
        return [((ANY_NAME, *tag), table) for tag, table in _tables(get_args(annotation)[0])]
    if get_origin(annotation) is dict:
        values = _tagged(get_args(annotation)[1])
        return [((ANY_NAME, *tag), table) for tag, table in values]
    return []


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is tuple


def _tagged(value: object) -> list[tuple[SettingPath, type[BaseModel]]]:
    if get_origin(value) is not Annotated:
        return _tables(value)
    members = [get_args(member) for member in get_args(get_args(value)[0])]
    return [((tag.tag,), table) for table, tag in members]
