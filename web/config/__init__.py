"""Configuration: a TOML file, overridden by environment variables and the command line.

`load` reads and merges the sources, `config` holds the model of the whole, `sections`,
`upstreams` and `routing` its tables, `complaints` the error texts, and `effective` writes a
configuration back as TOML.
"""

from web.config.config import Config
from web.config.field_types import Address, Inherited, Secret
from web.config.load import ConfigError, as_toml, load
from web.config.models import Model, ModelRoute, PriceSettings
from web.config.providers import (
    FORMATS,
    Anthropic,
    Gemini,
    Ollama,
    OpenAIChat,
    OpenAIResponses,
    Provider,
    ResponsesWs,
    Simulated,
    Upstream,
    UpstreamLimits,
)
from web.config.sections import Breaker, Journal, Limits, Logs, Server, Store, Turns

__all__ = [
    "FORMATS",
    "Address",
    "Anthropic",
    "Breaker",
    "Config",
    "ConfigError",
    "Gemini",
    "Inherited",
    "Journal",
    "Limits",
    "Logs",
    "Model",
    "ModelRoute",
    "Ollama",
    "OpenAIChat",
    "OpenAIResponses",
    "PriceSettings",
    "Provider",
    "ResponsesWs",
    "Secret",
    "Server",
    "Simulated",
    "Store",
    "Turns",
    "Upstream",
    "UpstreamLimits",
    "as_toml",
    "load",
]
