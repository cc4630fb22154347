"""Builds the configured providers, their embedders and key rings, and the route board."""

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from actors.ports import Provider
from actors.providers.embedding_provider import Embedder
from actors.providers.http.credentials import Credentials
from actors.providers.http.embedder import HttpEmbedder
from actors.providers.http.provider import HttpProvider, make_client
from actors.providers.simulated import Scenario, SimulatedProvider, load_scenario
from actors.providers.simulated.embeddings import SimulatedEmbedder
from actors.routing.breaker import BreakerSettings, BreakerStatus
from actors.routing.key_ring import KeyRing
from actors.routing.provider_limits import ProviderLimits
from actors.routing.route_board import RouteBoard
from actors.turn.model_call import Route
from web.config import Config, Simulated, Upstream, formats
from web.process.startup import StartupRefused

_log = structlog.stdlib.get_logger("trouper.routes")

_MOST_IDLE = 1000
"""Idle connections kept per provider if `limits.concurrent` is not set."""


def key_rings(config: Config) -> dict[str, KeyRing]:
    """Return the key ring of each provider that needs keys; empty if no key could be resolved."""
    return {
        name: KeyRing(settings.usable_keys)
        for name, settings in config.providers.items()
        if isinstance(settings, Upstream) and not settings.keyless
    }


def embedders_among(config: Config, providers: Mapping[str, Provider]) -> dict[str, Embedder]:
    """Return an embedder for each provider that supports embeddings."""
    found: dict[str, Embedder] = {}
    for name, provider in providers.items():
        if isinstance(provider, SimulatedProvider):
            found[name] = SimulatedEmbedder(provider)
        elif isinstance(provider, HttpProvider):
            path = formats()[config.providers[name].format].embeddings_path
            if path is not None:
                found[name] = HttpEmbedder(provider, path)
    return found


@asynccontextmanager
async def open_providers(
    config: Config, rings: Mapping[str, KeyRing]
) -> AsyncIterator[Mapping[str, Provider]]:
    """Open all providers by name and close their connections at the end.

    `rings` are those that `key_rings` returns. Raises `StartupRefused` if a file has become
    unusable since the configuration was checked.
    """
    async with AsyncExitStack() as stack:
        made: dict[str, Provider] = {}
        for name, settings in config.providers.items():
            if isinstance(settings, Simulated):
                made[name] = SimulatedProvider(name, _scenario(name, settings))
            else:
                credentials = Credentials(settings.usable_keys, rings.get(name))
                made[name] = await _upstream(stack, name, settings, credentials)
        yield made


async def _upstream(
    stack: AsyncExitStack, name: str, settings: Upstream, credentials: Credentials
) -> Provider:
    format = formats()[settings.format]
    url, ca_file = settings.base_url, str(settings.ca_file) if settings.ca_file else None
    refused = (format.refused_by(url) - {*settings.accepts}) | {*settings.refuses}
    try:
        if format.open is not None:
            opened = format.open(name, url, credentials, ca_file=ca_file, refused=refused)
            return await stack.enter_async_context(opened)
        most_idle = settings.limits.concurrent or _MOST_IDLE
        client = make_client(url, ca_file=ca_file, max_idle=most_idle)
    except (OSError, ssl.SSLError) as error:
        raise StartupRefused(f"[providers.{name}] ca_file: {ca_file}: {error}") from error
    await stack.enter_async_context(client)
    return HttpProvider(name, url, credentials, client, format=format.format, refused=refused)


def _scenario(name: str, settings: Simulated) -> Scenario:
    if settings.scenario is None:
        return Scenario()
    try:
        return load_scenario(settings.scenario.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartupRefused(f"[providers.{name}] scenario: {error}") from error


def models_by_route(config: Config) -> dict[Route, list[str]]:
    """Return the configured routes in the order of the file, each with the models that use it."""
    found: dict[Route, list[str]] = {}
    for name, model in config.models.items():
        for route in dict.fromkeys(entry.route for entry in model.routes):
            found.setdefault(route, []).append(name)
    return found


def make_board(
    config: Config, rings: Mapping[str, KeyRing], clock: Callable[[], float]
) -> RouteBoard:
    """Return the board with breakers, limits and keys of all routes. `clock` must be monotonic."""
    breaker = BreakerSettings(**config.breaker.model_dump())
    limits = {
        name: ProviderLimits(**settings.limits.model_dump())
        for name, settings in config.providers.items()
    }
    return RouteBoard(breaker, limits, rings, clock, models_by_route(config), _log_change)


def _log_change(route: Route, breaker: BreakerStatus) -> None:
    if breaker.state == "closed":
        _log.info("route closed", route=str(route))
        return
    _log.warning(
        "route opened",
        route=str(route),
        failures=breaker.failures,
        calls=breaker.calls,
        rest_s=breaker.retry_in_s,
    )
