"""Configuration: one TOML file, the environment over it, the command line over both."""

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
