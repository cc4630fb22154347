"""Documents as an SDK's own types: nothing wrong, nothing missing, and nothing that they lack."""

from collections.abc import Collection
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter


def strictly(kind: Any, data: str | bytes, documented: Collection[str] = ()) -> Any:
    """The JSON document as the SDK's type; fields that it does not know must be `documented`.

    `kind` is one of the SDK's models, or a union of them.
    """
    value = adapter(kind).validate_json(data, strict=True)
    assert_known(value, documented)
    return value


@cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def assert_known(value: object, documented: Collection[str] = ()) -> None:
    """No field of it, however deep, that its type does not have."""
    if isinstance(value, BaseModel):
        unknown = set(value.model_extra or {}) - set(documented)
        assert not unknown, (type(value), unknown)
        for name in type(value).model_fields:
            assert_known(getattr(value, name), documented)
    elif isinstance(value, list):
        for one in value:
            assert_known(one, documented)
