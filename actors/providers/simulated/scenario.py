"""Scenario files: model names and their behaviour, in TOML.

[defaults]              # what names that leave a setting out get
delay = "5ms"

[models.primary]        # the settings of the model-name grammar, as keys
tokens = 60
cut = 40

[models.backup]
noprefill = true
"""

import tomllib
from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from actors.providers.simulated.behaviour import Behaviour
from actors.providers.simulated.grammar import BadModelName, behaviour, parse_model_name

_NO_MODELS: Mapping[str, Behaviour] = MappingProxyType({})


class Scenario(Struct, frozen=True):
    """The models that a file names, and the settings of every other name."""

    models: Mapping[str, Behaviour] = _NO_MODELS
    defaults: Behaviour = Behaviour()

    def behaviour(self, name: str) -> Behaviour:
        """What the model `name` does: as the file says, else as its own name says.

        Raises `BadModelName`.
        """
        return self.models.get(name) or parse_model_name(name, self.defaults)


def load_scenario(toml: str) -> Scenario:
    """Read a scenario file's text; raises `BadModelName` that says where it is wrong."""
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as problem:
        raise BadModelName(f"not TOML: {problem}") from None
    unknown = document.keys() - {"defaults", "models"}
    if unknown:
        raise BadModelName(f"unknown table {min(unknown)!r}; there are 'defaults' and 'models'")
    defaults = behaviour("sim", _settings("defaults", document.get("defaults", {})))
    models = _table("models", document.get("models", {}))
    return Scenario(
        {
            name: behaviour(name, _settings(f"models.{name}", settings), defaults)
            for name, settings in models.items()
        },
        defaults,
    )


def _settings(where: str, value: object) -> dict[str, str | None]:
    return {
        key: None if item is True else _text(f"{where}.{key}", item)
        for key, item in _table(where, value).items()
        if item is not False
    }


def _table(where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadModelName(f"{where} is not a table")
    return value


def _text(where: str, value: object) -> str:
    if isinstance(value, str | int | float):
        return str(value)
    raise BadModelName(f"{where} is neither a text, a number nor true or false")
