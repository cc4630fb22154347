"""Providers made from the configuration, and the errors that prevent it."""

from pathlib import Path

import pytest
import trio
import trustme

from actors.ports import Provider
from actors.providers.http.provider import HttpProvider
from actors.providers.simulated import SimulatedProvider
from actors.routing.key_ring import KeyRing
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from web.config import Config, formats
from web.process.startup import StartupRefused
from web.providers.factory import key_rings, open_providers

UP: dict[str, object] = {"format": "openai-chat", "base_url": "http://127.0.0.1:1"}
CALL = ModelCall(upstream_model="m", messages=read_messages([]), parameters={})


def configured(**providers: dict[str, object]) -> Config:
    return Config.model_validate({"providers": providers})


async def failure_of(provider: Provider) -> UpstreamFailure:
    with pytest.raises(UpstreamFailure) as caught:
        await provider.open(CALL, connect_s=1.0)
    return caught.value


async def test_every_format_has_a_provider() -> None:
    config = configured(**{name: UP | {"format": name} for name in formats()})
    async with open_providers(config, {}) as made:
        assert list(made) == list(formats())
        assert [provider.name for provider in made.values()] == list(made)


async def test_formats_report_unsupported_parameters() -> None:
    config = configured(gemini={"format": "gemini"}, chat=UP, sim={"format": "simulated"})
    call = ModelCall(
        upstream_model="m", messages=read_messages([]), parameters={"logit_bias": {"1": 1}}
    )
    async with open_providers(config, {}) as made:
        assert isinstance(made["gemini"], HttpProvider)
        assert isinstance(made["sim"], SimulatedProvider)
        unsupported = {name: await provider.unsupported(call) for name, provider in made.items()}
    assert unsupported == {"gemini": ("logit_bias",), "chat": (), "sim": ()}


async def test_provider_without_a_usable_key_sends_no_request() -> None:
    config = configured(dark=UP | {"api_key": "env:TROUPER_TEST_NO_SUCH_KEY"})
    async with open_providers(config, key_rings(config)) as made:
        assert (await failure_of(made["dark"])).code == "no_usable_key"


async def test_provider_without_key_setting_sends_no_key() -> None:
    async with open_providers(configured(free=UP), {}) as made:
        assert (await failure_of(made["free"])).kind is FailureKind.REFUSED


async def test_only_providers_with_a_key_setting_have_key_rings() -> None:
    config = configured(
        one=UP | {"api_key": "a"},
        two=UP | {"api_keys": ["b", "env:TROUPER_TEST_NO_SUCH_KEY", "c", "b"]},
        dark=UP | {"api_key": ""},
        free=UP,
        sim={"format": "simulated"},
    )
    rings = key_rings(config)
    assert {name: len(ring) for name, ring in rings.items()} == {"one": 1, "two": 2, "dark": 0}


async def test_provider_uses_its_key_ring() -> None:
    config = configured(one=UP | {"api_key": "sk-one"})
    ring = KeyRing(["sk-one"])
    async with open_providers(config, {"one": ring}) as made:
        assert (await failure_of(made["one"])).code != "no_usable_key"
        ring.refused("sk-one", trio.current_time())
        assert (await failure_of(made["one"])).code == "no_usable_key"


@pytest.mark.parametrize("format", ["gemini", "responses-ws"])
async def test_missing_ca_file_refuses_the_start(format: str, tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(path)
    own = UP | {"format": format, "base_url": "https://127.0.0.1:1", "ca_file": str(path)}
    config = configured(own=own)
    async with open_providers(config, {}):
        pass
    path.unlink()
    with pytest.raises(StartupRefused, match=r"\[providers\.own\] ca_file: .*ca\.pem"):
        async with open_providers(config, {}):
            pass


@pytest.mark.parametrize(
    ("settings", "left_out"),
    [
        ({}, ("prompt_cache_key",)),
        ({"base_url": "https://api.openai.com/v1"}, ("odd",)),
        ({"accepts": ["prompt_cache_key", "reasoning_effort=max"]}, ()),
        ({"refuses": ["odd", "top_p"]}, ("prompt_cache_key", "top_p", "odd")),
        ({"refuses": ["*"]}, ("prompt_cache_key", "odd")),
        ({"refuses": ["reasoning_effort=high"]}, ("reasoning_effort", "prompt_cache_key")),
        ({"format": "openai-responses", "refuses": ["top_p"]}, ("odd", "top_p")),
        ({"format": "responses-ws", "refuses": ["top_p"]}, ("odd", "top_p")),
    ],
)
async def test_settings_say_what_a_server_accepts(
    settings: dict[str, object], left_out: tuple[str, ...]
) -> None:
    parameters = {"reasoning_effort": "max", "prompt_cache_key": "k", "top_p": 0.5, "odd": 1}
    call = ModelCall(upstream_model="m", messages=read_messages([]), parameters=parameters)
    async with open_providers(configured(up=UP | settings), {}) as made:
        assert await made["up"].unsupported(call) == left_out
