"""Every setting there is, read from the models: for suggestions, and for the reference's test."""

from collections.abc import Iterator
from typing import Annotated, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from web.config.config import Config
from web.config.secret import Secret

ANY_NAME = "*"
"""Stands in a place for the operator's own name of a provider or model, and for a list's index."""

Place = tuple[str, ...]
"""Where a setting stands, as pydantic's errors name it: a provider's format comes in between."""


class Setting(NamedTuple):
    """One key of the configuration."""

    place: Place
    field: FieldInfo

    @property
    def is_table(self) -> bool:
        """Whether it holds further keys and not a value; a list of tables is a value."""
        return bool(_tables(self.field.annotation)) and not _is_list(self.field.annotation)


def settings() -> Iterator[Setting]:
    """All keys, tables before what is in them."""
    yield from _walk(Config, ())


def keys_at(place: Place) -> list[str]:
    """The keys that exist in a table; none where the operator chooses the names."""
    depth = len(place)
    inside = (s.place for s in settings() if len(s.place) == depth + 1)
    return [
        p[-1] for p in inside if all(k in (ANY_NAME, g) for k, g in zip(p, place, strict=False))
    ]


def _walk(model: type[BaseModel], place: Place) -> Iterator[Setting]:
    for key, field in model.model_fields.items():
        here = Setting((*place, key), field)
        yield here
        for between, table in _tables(field.annotation):
            yield from _walk(table, (*here.place, *between))


def _tables(annotation: object) -> list[tuple[Place, type[BaseModel]]]:
    """The tables that a key of this type holds, each with what pydantic puts in its place."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [] if annotation is Secret else [((), annotation)]
    if _is_list(annotation):
        return [((ANY_NAME, *tag), table) for tag, table in _tables(get_args(annotation)[0])]
    if get_origin(annotation) is dict:
        values = _formats(get_args(annotation)[1])
        return [((ANY_NAME, *tag), table) for tag, table in values]
    return []


def _is_list(annotation: object) -> bool:
    return get_origin(annotation) is tuple


def _formats(value: object) -> list[tuple[Place, type[BaseModel]]]:
    if get_origin(value) is not Annotated:
        return _tables(value)
    union = get_args(value)[0]
    members = (
        get_args(union) if get_origin(union) is Union or len(get_args(union)) > 1 else (union,)
    )
    return [((get_args(m.model_fields["format"].annotation)[0],), m) for m in members]
