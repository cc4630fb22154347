"""Validates request bodies: the model of their parameters, and objects in them field by field.

Parameters are validated by pydantic. Messages, tools and content parts are read with `Fields`
instead: there can be many of them, some of their fields decide how others are read, and reading
them into a second set of models would take longer. All errors are an `ApiError` (400) that names
the path of the field.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from actors.turn.model_call import JSON
from web.http.api_error import ApiError, invalid
from web.http.validation_errors import validated

Object = dict[str, JSON]
T = TypeVar("T")

LONGEST_NAME = 512
"""Maximum characters of the name of a model or function, which frames and log lines repeat."""
MAX_MESSAGES = 10_000

FailFastList = Annotated[list[T], Field(fail_fast=True)]
"""A list that is validated up to its first error; reporting a million errors takes seconds."""
Messages = Annotated[list[JSON], Field(min_length=1, max_length=MAX_MESSAGES)]


class Parameters(BaseModel):
    """A model that ignores unknown fields, which are passed on unchanged."""

    model_config = ConfigDict(strict=True, frozen=True)


class Body(Parameters):
    """The parameters of a request to a model."""

    model: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]

    @classmethod
    def read(cls, raw: Object) -> Self:
        """Return the validated parameters in `raw`; raises `ApiError` (400)."""
        return validated(cls, raw)


class Fields:
    """A JSON object in a request. Its methods return fields or raise `ApiError` (400).

    A field that is null counts as absent. `code` is the error code of fields of a wrong type.
    """

    __slots__ = ("code", "path", "values")

    def __init__(self, given: JSON, path: str, code: str = "invalid_value") -> None:
        if not isinstance(given, dict):
            raise wrong(path, "must be an object.", code)
        self.values: Object = given
        self.path = path
        self.code = code

    def at(self, name: str) -> str:
        """Return the path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, name: str, words: str) -> ApiError:
        """Return a 400 for an invalid value of a field."""
        return wrong(self.at(name), words, self.code)

    def required(self, name: str) -> JSON:
        """Return a required field of any type."""
        value = self.values.get(name)
        if value is None:
            raise missing(self.at(name))
        return value

    def text(self, name: str, *, longest: int | None = None) -> str:
        """Return a required string, which must not be empty if there is a limit on its length."""
        value = self.required(name)
        if not isinstance(value, str):
            raise self.wrong(name, "must be a string.")
        if longest is not None and not 0 < len(value) <= longest:
            raise self.wrong(name, f"must be a string of 1 to {longest} characters.")
        return value

    def call_id(self, name: str) -> str | None:
        """Return the id of a tool call, or None without one; servers may number their calls."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.optional(name, str, "a string") or None

    def child(self, given: JSON, path: str) -> Self:
        """Return an object in this one, with its path."""
        return type(self)(given, path, self.code)

    def object(self, name: str) -> Self:
        """Return a required object."""
        return self.child(self.required(name), self.at(name))

    def objects(self, name: str) -> Iterator[Self]:
        """Yield the objects of a list; none if it is absent."""
        given = self.optional(name, list, "a list of objects") or ()
        for index, one in enumerate(given):
            yield self.child(one, f"{self.at(name)}[{index}]")

    def optional(self, name: str, kind: type[T], words: str) -> T | None:
        """Return a field of a type, which `words` describe, or None if it is absent."""
        value = self.values.get(name)
        if value is not None and not isinstance(value, kind):
            raise self.wrong(name, f"must be {words}.")
        return value

    def one_of(self, name: str, choices: Sequence[T]) -> T | None:
        """Return the choice that a field has as its value, or None if it is absent."""
        value = self.values.get(name)
        if value is None:
            return None
        if value not in choices:
            raise self.wrong(name, f"must be one of {', '.join(map(str, choices))}.")
        return choices[choices.index(value)]

    def rest(self, *known: str) -> Object:
        """Return the fields that aren't `known`."""
        return {name: value for name, value in self.values.items() if name not in known}


def check_function(function: Fields) -> None:
    """Check the definition of a function that a model can call; raises `ApiError` (400)."""
    function.text("name", longest=LONGEST_NAME)
    function.optional("description", str, "a string")
    function.optional("parameters", dict, "a JSON schema")


def missing(path: str) -> ApiError:
    """Return a 400 for a required field that is missing."""
    return wrong(path, "field required.", "missing_required_parameter")


def unsupported(name: str, words: str) -> ApiError:
    """Return a 400 for a parameter, or a value of it, that cannot be honoured."""
    return wrong(name, words, "unsupported_parameter")


def wrong(path: str, words: str, code: str = "invalid_value") -> ApiError:
    """Return a 400 for an invalid value of the field at `path`."""
    return invalid(f"{path}: {words}", param=path, code=code)
