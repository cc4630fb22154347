"""Scenario files: TOML that maps model names to behaviour.

[defaults]              # settings of every model that doesn't set them itself
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


def load_scenario(toml: str) -> Scenario:
    """Parse the text of a scenario file.

    Raises `BadModelName`, whose message names the wrong table or key.
    """
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as problem:
        raise BadModelName(f"the scenario is not valid TOML: {problem}") from None
    if unknown := document.keys() - {"defaults", "models"}:
        known = "the known tables are 'defaults' and 'models'"
        raise BadModelName(f"unknown table {min(unknown)!r}; {known}")
    defaults = behaviour("sim", _settings("defaults", document.get("defaults", {})))
    models = {
        name: behaviour(name, _settings(f"models.{name}", settings), defaults)
        for name, settings in _table("models", document.get("models", {})).items()
    }
    return Scenario(models, defaults)


def _table(where: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadModelName(f"{where} must be a table")
    return value


def _settings(where: str, value: object) -> list[str]:
    """Return a table's settings as a model name has them: `true` is a key without a value."""
    return [
        key if item is True else f"{key}={item}"
        for key, item in _table(where, value).items()
        if item is not False
    ]
