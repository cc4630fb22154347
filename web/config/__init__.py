"""Configuration: one TOML file, the environment over it, the command line over both."""

from web.config.address import Address, Inherited
from web.config.config import Config
from web.config.effective import as_toml
from web.config.load import ConfigError, load
from web.config.routing import Model, OpenAIChat, PriceSettings, Provider, Simulated
from web.config.secret import Secret
from web.config.sections import Journal, Limits, Logs, Server, Store, Turns

__all__ = [
    "Address",
    "Config",
    "ConfigError",
    "Inherited",
    "Journal",
    "Limits",
    "Logs",
    "Model",
    "OpenAIChat",
    "PriceSettings",
    "Provider",
    "Secret",
    "Server",
    "Simulated",
    "Store",
    "Turns",
    "as_toml",
    "load",
]
