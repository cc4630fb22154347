"""Parses documents strictly as an SDK's types, without unknown fields."""

from collections.abc import Collection
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter


def strictly(kind: Any, data: str | bytes, documented: Collection[str] = ()) -> Any:
    """Parse the JSON document as the SDK's type; its unknown fields must be `documented`.

    `kind` is one of the SDK's models, or a union of them.
    """
    value = adapter(kind).validate_json(data, strict=True)
    assert_known(value, documented)
    return value


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def assert_known(value: object, documented: Collection[str] = ()) -> None:
    """Check at any depth that the types know every field, except `documented` ones."""
    if isinstance(value, BaseModel):
        unknown = set(value.model_extra or {}) - set(documented)
        assert not unknown, (type(value), unknown)
        for name in type(value).model_fields:
            assert_known(getattr(value, name), documented)
    elif isinstance(value, list):
        for one in value:
            assert_known(one, documented)
