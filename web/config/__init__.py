"""Configuration: a TOML file, overridden by environment variables and the command line.

- `load`: reads and merges the sources, and writes a configuration as TOML
- `config`: the configuration as a whole
- `sections`, `provider_settings`, `model_settings`: its tables
- `field_types`: secrets, addresses and other types of settings
- `error_messages`: error texts for the operator
- `reference`: lists every setting

Imports the vocabulary in `actors.turn`, `web.registry` to know the formats, and
`actors.providers.simulated` to check model names.
Objects built from settings belong in `web.providers`, `web.turns.planner` and `web.process`.
"""

from web.config.config import Config
from web.config.field_types import Address, Inherited, Secret
from web.config.load import ConfigError, as_toml, load
from web.config.model_settings import Model, ModelRoute, PriceSettings
from web.config.provider_settings import (
    Provider,
    Simulated,
    Upstream,
    UpstreamLimits,
    format_names,
    formats,
)
from web.config.sections import Breaker, Journal, Limits, Logs, Server, Store, Turns

__all__ = [
    "Address",
    "Breaker",
    "Config",
    "ConfigError",
    "Inherited",
    "Journal",
    "Limits",
    "Logs",
    "Model",
    "ModelRoute",
    "PriceSettings",
    "Provider",
    "Secret",
    "Server",
    "Simulated",
    "Store",
    "Turns",
    "Upstream",
    "UpstreamLimits",
    "as_toml",
    "format_names",
    "formats",
    "load",
]
