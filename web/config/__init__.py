"""Configuration: a TOML file, overridden by environment variables and the command line.

- `load`: reads and merges the sources, and writes a configuration as TOML
- `config`: the configuration as a whole
- `sections`, `provider_settings`, `model_settings`, `guard_settings`: its tables
- `field_types`: secrets, addresses and other types of settings
- `error_messages`: error texts for the operator
- `reference`: lists every setting

Imports the vocabulary in `actors.turn`, `web.registry` to know the formats, and
`actors.providers.simulated` to check model names.
Objects built from settings belong in `web.providers`, `web.turns.planner` and `web.process`.
"""

from web.config.config import Config as Config
from web.config.field_types import Address as Address
from web.config.field_types import Inherited as Inherited
from web.config.load import ConfigError as ConfigError
from web.config.load import as_toml as as_toml
from web.config.load import load as load
from web.config.model_settings import Model as Model
from web.config.model_settings import ModelRoute as ModelRoute
from web.config.provider_settings import Simulated as Simulated
from web.config.provider_settings import Upstream as Upstream
from web.config.provider_settings import format_names as format_names
from web.config.provider_settings import formats as formats
from web.config.sections import Server as Server
