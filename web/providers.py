"""Makes the providers that the configuration names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from actors.providers.base import Provider
from actors.providers.http import HttpProvider, make_client
from actors.providers.simulated import Scenario, SimulatedProvider, load_scenario
from web.config import Config, Simulated, Upstream
from web.startup import StartupRefused


@asynccontextmanager
async def open_providers(config: Config) -> AsyncIterator[Mapping[str, Provider]]:
    """All providers by name; their connections are closed in the end.

    Raises `StartupRefused` for a scenario file that cannot be used.
    """
    async with AsyncExitStack() as stack:
        made: dict[str, Provider] = {}
        for name, settings in config.providers.items():
            if isinstance(settings, Simulated):
                made[name] = SimulatedProvider(name, _scenario(name, settings))
            elif settings.usable:
                made[name] = await _http(stack, name, settings)
        yield made


async def _http(stack: AsyncExitStack, name: str, settings: Upstream) -> HttpProvider:
    client = await stack.enter_async_context(make_client(settings.base_url))
    return HttpProvider(name, settings.base_url, next(iter(settings.usable_keys), None), client)


def _scenario(name: str, settings: Simulated) -> Scenario:
    if settings.scenario is None:
        return Scenario()
    try:
        return load_scenario(settings.scenario.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StartupRefused(f"[providers.{name}] scenario: {error}") from error
