"""Scenario files: TOML that maps model names to behaviour.

[defaults]              # settings of every model that doesn't set them itself
delay = "5ms"

[models.primary]        # the settings of the model-name grammar, as keys
tokens = 60
cut = 40

[models.backup]
noprefill = true
"""

from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Struct

from actors.providers.simulated.options.behaviour import Behaviour
from actors.providers.simulated.options.grammar import BadModelName, behaviour, parse_model_name

_NO_MODELS: Mapping[str, Behaviour] = MappingProxyType({})


class Scenario(Struct, frozen=True):
    """The models of a scenario file, and the default settings of all other models."""

    models: Mapping[str, Behaviour] = _NO_MODELS
    defaults: Behaviour = Behaviour()

    def behaviour(self, name: str) -> Behaviour:
        """Return the behaviour of the model `name`, from the file or else from its name.

        Raises `BadModelName`.
        """
        return self.models.get(name) or parse_model_name(name, self.defaults)


class _File(Struct, forbid_unknown_fields=True):
    defaults: dict[str, object] = {}
    models: dict[str, object] = {}


def load_scenario(toml: str) -> Scenario:
    """Parse the text of a scenario file.

    Raises `BadModelName`, whose message names the wrong table or key.
    """
    try:
        file = msgspec.toml.decode(toml, type=_File)
    except msgspec.DecodeError as problem:
        raise BadModelName(f"the scenario is not valid: {problem}") from None
    defaults = behaviour("sim", _settings(file.defaults))
    models = {
        name: behaviour(name, _settings(_table(name, settings)), defaults)
        for name, settings in file.models.items()
    }
    return Scenario(models, defaults)


def _table(name: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadModelName(f"models.{name} must be a table")
    return value


def _settings(table: dict[str, object]) -> list[str]:
    """Return the settings as a model name has them: `true` is a key without a value."""
    return [
        key if value is True else f"{key}={value}"
        for key, value in table.items()
        if value is not False
    ]
