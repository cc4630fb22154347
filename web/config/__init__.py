"""Configuration: a TOML file, overridden by environment variables and the command line.

`load` reads and merges the sources, `config` holds the model of the whole, `sections`,
`upstreams` and `routing` its tables, `complaints` the error texts, and `effective` writes a
configuration back as TOML.
"""

from web.config.address import Address, Inherited
from web.config.config import Config
from web.config.effective import as_toml
from web.config.load import ConfigError, load
from web.config.routing import Model, ModelRoute, PriceSettings
from web.config.secret import Secret
from web.config.sections import Breaker, Journal, Limits, Logs, Server, Store, Turns
from web.config.upstreams import (
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
