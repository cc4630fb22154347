"""Configuration: its sources, their precedence, and the resulting values."""

import re
import tomllib
from pathlib import Path

import pytest
from msgspec.structs import replace

from actors.turn.model_call import Capabilities, Route
from actors.turn.outcome import Mode, OnCut, Price
from store.store import StoreSettings
from web.config import (
    Address,
    Config,
    ConfigError,
    Model,
    Simulated,
    Upstream,
    as_toml,
    format_names,
    load,
)
from web.config.reference import settings

UP = {"format": "openai-chat", "base_url": "http://x"}
FULL = """
[server]
bind = "[::1]:0"
[providers.openai]
format = "openai-chat"
base_url = "https://api.openai.com/v1/"
api_key = "env:OPENAI_API_KEY"
timeouts = { idle_s = 7, connect_s = 2 }
limits = { concurrent = 3, tokens_per_minute = 1000 }
[providers.claude]
format = "anthropic"
api_keys = ["env:OPENAI_API_KEY", "file:/nowhere/key"]
[providers.local]
format = "openai-chat"
base_url = "http://127.0.0.1:11434/v1"
[models."gpt.large"]
routes = ["openai/gpt-5.2", { route = "local/org/llama", capabilities = [], context_window = 8 }]
capabilities = ["tools", "prefill"]
on_cut = "restart"
price = { input = 1.25, output = 10.0, cached_input = 0.125, cache_write = 1.5 }
mode = "linger"
resume_window_s = 9
timeouts = { idle_s = 3 }
[timeouts]
total_s = 60
"""


def routes(model: Model) -> list[Route]:
    """Return the routes of a model."""
    return [entry.route for entry in model.routes]


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TROUPER_CONFIG", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "trouper.toml"
    path.write_text(FULL)
    return path


def test_defaults_are_a_simulated_provider_and_its_model() -> None:
    config = load()
    assert config.server.bind == Address("127.0.0.1", 8700)
    assert config.store.url == "sqlite:///trouper.db"
    assert list(config.providers) == ["simulated"]
    assert isinstance(config.providers["simulated"], Simulated)
    assert routes(config.models["sim"]) == [Route("simulated", "sim")]


def test_configured_providers_replace_the_simulated_one() -> None:
    own: dict[str, object] = {"format": "openai-chat", "base_url": "http://x"}
    config = load(flags={"providers": {"own": own}})
    assert list(config.providers) == ["own"]
    assert config.models == {}


def test_file_is_read(file: Path) -> None:
    config = load(file)
    model = config.models["gpt.large"]
    assert str(config.server.bind) == "[::1]:0"
    assert routes(model) == [Route("openai", "gpt-5.2"), Route("local", "org/llama")]
    assert config.mode_of(model) is Mode.LINGER
    assert config.resume_window_of(model) == 9
    assert config.mode_of(None) is Mode.ATTACHED
    assert config.resume_window_of(None) == config.turns.resume_window_s
    openai = config.providers["openai"]
    assert isinstance(openai, Upstream)
    assert openai.base_url == "https://api.openai.com/v1"


def test_prices_are_exact_integers(file: Path) -> None:
    config = load(file)
    price = config.price_of(config.models["gpt.large"])
    assert price == Price(
        input=1_250_000, output=10_000_000, cached_input=125_000, cache_write=1_500_000
    )
    assert config.price_of(None) == Price()


def test_timeouts_of_model_override_provider_and_provider_overrides_general(
    file: Path,
) -> None:
    config = load(file)
    merged = config.clocks(config.models["gpt.large"], "openai")
    assert (merged.idle_s, merged.connect_s, merged.total_s) == (3, 2, 60)
    assert config.clocks(None, "openai").idle_s == 7
    assert config.clocks(None, "local").idle_s == 300
    assert config.clocks(None, "local").after_finish_s == 5
    assert config.clocks(config.models["gpt.large"], None).connect_s == 5


@pytest.mark.parametrize(("reasons", "default"), [(True, 300), (False, 30)])
def test_silence_may_last_longer_where_a_model_can_think(reasons: bool, default: float) -> None:
    config = Config.model_validate({"timeouts": {}})
    clocks = config.clocks(None, None, reasons=reasons)
    assert (clocks.first_token_s, clocks.idle_s, clocks.total_s) == (default, default, 600)
    config = Config.model_validate({"timeouts": {"idle_s": 20}})
    clocks = config.clocks(None, None, reasons=reasons)
    assert (clocks.first_token_s, clocks.idle_s) == (default, 20)


def test_environment_overrides_file_and_command_line_overrides_both(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPER_CONFIG", str(file))
    monkeypatch.setenv("TROUPER_SERVER__BIND", "127.0.0.1:1")
    monkeypatch.setenv("TROUPER_SERVER__DRAIN_S", "4")
    config = load(flags={"server": {"bind": "127.0.0.1:2"}})
    assert str(config.server.bind) == "127.0.0.1:2"
    assert config.server.drain_s == 4
    assert "gpt.large" in config.models


def test_variables_match_names_with_other_characters(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPER_MODELS__GPT_LARGE__ROUTES", '["openai/other"]')
    monkeypatch.setenv("TROUPER_MODELS__GPT_LARGE__TIMEOUTS__IDLE_S", "1.5")
    monkeypatch.setenv("TROUPER_PROVIDERS__OPENAI__BASE_URL", "http://proxy")
    config = load(file)
    assert routes(config.models["gpt.large"]) == [Route("openai", "other")]
    assert config.models["gpt.large"].timeouts.idle_s == 1.5
    assert config.providers["openai"].format == "openai-chat"
    assert list(config.models) == ["gpt.large"]


def test_variables_alone_define_a_provider_and_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_PROVIDERS__UP__FORMAT", "openai-chat")
    monkeypatch.setenv("TROUPER_PROVIDERS__UP__BASE_URL", "http://up/v1")
    monkeypatch.setenv("TROUPER_MODELS", '{"gpt-x": {"routes": ["up/x"], "price": {"input": 1}}}')
    config = load()
    assert routes(config.models["gpt-x"]) == [Route("up", "x")]
    assert config.price_of(config.models["gpt-x"]).input == 1_000_000


def test_variables_take_lists_and_tables_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_PROVIDERS__UP__FORMAT", "gemini")
    monkeypatch.setenv("TROUPER_PROVIDERS__UP__API_KEYS", '["sk-1", "sk-2"]')
    monkeypatch.setenv("TROUPER_PROVIDERS__UP__LIMITS__CONCURRENT", "3")
    monkeypatch.setenv("TROUPER_MODELS__X__ROUTES", '[{"route": "up/x", "capabilities": []}]')
    monkeypatch.setenv("TROUPER_BREAKER__MINIMUM_REQUESTS", "7")
    config = load()
    up = config.providers["up"]
    assert isinstance(up, Upstream)
    assert (up.usable_keys, up.limits.concurrent) == (("sk-1", "sk-2"), 3)
    model = config.models["x"]
    assert not model.capabilities_of(model.routes[0]).tools
    assert config.breaker.minimum_requests == 7


def test_hosts_and_origins_are_normalised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_SERVER__HOSTS", '["Trouper.Example.", "trouper"]')
    origins = ["HTTPS://App.Example:443", "http://[::1]:80", "http://a:8080", "app://obsidian.md"]
    config = load(flags={"cors": {"origins": origins}})
    assert config.server.hosts == ("trouper.example", "trouper")
    assert config.cors.origins == (
        *("https://app.example", "http://[::1]", "http://a:8080", "app://obsidian.md"),
    )


def test_unrelated_and_empty_variables_are_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TROUPER_PORT", "tcp://10.0.0.1:8700")
    monkeypatch.setenv("TROUPER_PORT_8700_TCP", "tcp://10.0.0.1:8700")
    monkeypatch.setenv("TROUPER_SERVER__BIND", "")
    assert load() == Config()


def test_configuration_is_immutable() -> None:
    config = Config()
    with pytest.raises(ValueError, match="frozen"):
        config.server.drain_s = 1


class TestSecrets:
    def key(self, written: str) -> Upstream:
        config = Config.model_validate({"providers": {"p": {**UP, "api_key": written}}})
        provider = config.providers["p"]
        assert isinstance(provider, Upstream)
        return provider

    def test_key_is_read_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", " sk-env ")
        assert self.key("env:OPENAI_API_KEY").usable_keys == ("sk-env",)

    def test_key_is_read_from_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "key").write_text("sk-file\n")
        assert self.key(f"file:{tmp_path / 'key'}").usable_keys == ("sk-file",)

    def test_key_may_be_literal(self) -> None:
        assert self.key("sk-literal").usable_keys == ("sk-literal",)

    @pytest.mark.parametrize(
        "written",
        ["env:OPENAI_API_KEY", "file:/does/not/exist", "file:~no-such-user/key", "file:\0", ""],
    )
    def test_missing_key_makes_a_provider_unusable(self, written: str) -> None:
        provider = self.key(written)
        assert provider.usable_keys == ()
        assert not provider.usable

    def test_provider_without_key_setting_is_usable(self, file: Path) -> None:
        config = load(file)
        assert config.providers["local"].usable
        assert config.notes()[0] == (
            "[providers.openai] api_key: environment variable OPENAI_API_KEY is missing,"
            " unreadable or empty; the provider's routes are skipped"
        )

    def several(self, *written: str) -> tuple[Upstream, list[str]]:
        config = Config.model_validate({"providers": {"p": {**UP, "api_keys": written}}})
        provider = config.providers["p"]
        assert isinstance(provider, Upstream)
        return provider, config.notes()

    def test_provider_may_have_several_keys(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-2")
        provider, notes = self.several("sk-1", "env:OPENAI_API_KEY")
        assert (provider.usable_keys, notes) == (("sk-1", "sk-2"), [])

    def test_each_missing_key_of_several_is_noted(self) -> None:
        provider, notes = self.several("env:OPENAI_API_KEY", "sk-1", "file:/does/not/exist")
        assert provider.usable
        assert provider.usable_keys == ("sk-1",)
        assert notes == [
            "[providers.p] api_keys[0]: environment variable OPENAI_API_KEY is missing, unreadable"
            " or empty; the key is left out",
            "[providers.p] api_keys[2]: file /does/not/exist is missing, unreadable or empty; the"
            " key is left out",
        ]

    def test_provider_with_only_missing_keys_is_unusable(self) -> None:
        provider, notes = self.several("env:OPENAI_API_KEY", "env:OPENAI_API_KEY")
        assert not provider.usable
        assert [note.rpartition("; ")[2] for note in notes] == [
            "the provider's routes are skipped"
        ] * 2

    def test_duplicate_keys_are_used_once(self) -> None:
        provider, notes = self.several("sk-1", "sk-2", "sk-1")
        assert provider.usable_keys == ("sk-1", "sk-2")
        assert notes == [
            "[providers.p] api_keys[2]: is the same key as api_keys[0]; it is used once"
        ]

    def test_secrets_are_redacted_in_repr_and_toml(self) -> None:
        config = Config.model_validate(
            {
                "providers": {
                    "p": {**UP, "api_key": "sk-literal"},
                    "q": {**UP, "api_keys": ["sk-literal", "sk-literal-too"]},
                },
                "store": {"url": "postgresql://me:hush@db/trouper"},
            }
        )
        assert "sk-literal" not in repr(config)
        assert "sk-literal" not in as_toml(config)
        assert "hush" not in as_toml(config)
        assert "me:***@db" in as_toml(config)
        assert 'api_keys = ["***", "***"]' in as_toml(config)


def test_formats_with_a_public_address_default_to_it() -> None:
    known = {name: {"format": name} for name in format_names() if name != "openai-chat"}
    config = Config.model_validate({"providers": known})
    urls = {n: p.base_url for n, p in config.providers.items() if isinstance(p, Upstream)}
    assert urls == {
        "openai-responses": "https://api.openai.com/v1",
        "responses-ws": "https://api.openai.com/v1",
        "anthropic": "https://api.anthropic.com/v1",
        "gemini": "https://generativelanguage.googleapis.com/v1beta",
        "ollama": "http://127.0.0.1:11434",
    }


def test_route_has_only_the_declared_capabilities(file: Path) -> None:
    model = load(file).models["gpt.large"]
    openai, local = map(model.capabilities_of, model.routes)
    none = Capabilities(
        tools=False, images=False, files=False, audio=False, video=False, reasoning=False
    )
    assert openai == replace(none, tools=True, prefill=True)
    assert local == replace(none, context_window=8)


def test_undeclared_capabilities_have_defaults() -> None:
    model = Model.model_validate({"routes": ["up/x"], "context_window": 9})
    assert model.capabilities_of(model.routes[0]) == Capabilities(context_window=9)


def test_on_cut_defaults_to_continue(file: Path) -> None:
    assert load(file).models["gpt.large"].on_cut is OnCut.RESTART
    assert Model.model_validate({"routes": ["up/x"]}).on_cut is OnCut.CONTINUE


def test_effective_configuration_can_be_loaded_again(file: Path, tmp_path: Path) -> None:
    config = load(file)
    again = tmp_path / "again.toml"
    again.write_text(as_toml(config))
    assert load(again) == config


def test_effective_configuration_contains_every_default() -> None:
    tree = tomllib.loads(as_toml(Config()))
    assert tree["journal"] == {"flush_ms": 250, "flush_bytes": 65536, "retention_s": 86400}
    assert tree["models"]["sim"]["routes"] == ["simulated/sim"]


@pytest.mark.parametrize("name", ['with "quotes"', "back\\slash", "del\x7f", "tab\t", "é"])
def test_any_model_name_survives_the_round_trip(name: str, tmp_path: Path) -> None:
    config = Config.model_validate({"models": {name: {"routes": ["simulated/sim"]}}})
    path = tmp_path / "again.toml"
    path.write_text(as_toml(config))
    assert load(path) == config


def test_error_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: cannot be read: No such file"):
        load(tmp_path / "nowhere.toml")


def test_every_setting_is_read() -> None:
    root = Path(__file__).parents[3]
    reading = "\n".join(
        path.read_text("utf-8")
        for package in ("web", "actors")
        for path in (root / package).rglob("*.py")
        if "config" not in path.parts
    )
    sections = {"server", "turns", "limits", "journal", "logs"}
    keys = {(s.path[0], s.path[1]) for s in settings() if s.path[0] in sections and s.path[1:]}
    methods = {("turns", "mode"), ("turns", "resume_window_s")}
    unread = {
        (section, key)
        for section, key in keys - methods
        if not re.search(rf"\b({section}|settings)\.{key}\b", reading)
    }
    assert unread == set()
    assert Config().store.model_dump().keys() <= set(StoreSettings.__struct_fields__)


def test_secret_of_boundaries_without_a_value_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    guards = {"boundaries": True, "boundary_secret": "env:NO_SUCH_SECRET"}
    monkeypatch.delenv("NO_SUCH_SECRET", raising=False)
    (note,) = Config.model_validate({"guards": guards}).notes()
    assert note.startswith("[guards] boundary_secret: environment variable NO_SUCH_SECRET is miss")
    monkeypatch.setenv("NO_SUCH_SECRET", "a long and random text")
    assert Config.model_validate({"guards": guards}).notes() == []
