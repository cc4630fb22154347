"""Configuration errors: one line per mistake, with its source, key, problem and remedy."""

from pathlib import Path

import pytest

from web.config import ConfigError, load

UP = '[providers.up]\nformat = "openai-chat"\nbase_url = "http://up"\n'


def error_lines(tmp_path: Path, toml: str, **flags: dict[str, object]) -> list[str]:
    path = tmp_path / "t.toml"
    path.write_text(toml)
    with pytest.raises(ConfigError) as caught:
        load(path, flags)
    assert str(caught.value).splitlines() == list(caught.value.lines), "one line per mistake"
    return [line.removeprefix(f"{path}: ") for line in caught.value.lines]


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ('[server]\nbin = "x"', "[server] bin: unknown key, did you mean bind?"),
        ("[stroe]", "[stroe]: unknown section, did you mean store?"),
        ("[server]\nxyz = 1", "[server] xyz: unknown key; the keys are bind, hosts, "),
        (
            UP + 'bas_url = "http://x"',
            "[providers.up] bas_url: unknown key, did you mean base_url?",
        ),
        (
            '[providers.s]\nformat = "simulated"\nscenari = "x"',
            "[providers.s] scenari: unknown key, did you mean scenario?",
        ),
        (
            UP + "[providers.up.timeouts]\nidle = 1",
            "timeouts.idle: unknown key, did you mean idle_s?",
        ),
        (UP + '[models."a.b"]\nroutes = ["up/x"]\nprize = {}', '[models."a.b"] prize: unknown key'),
        (
            '[providers.up]\nformat = "openai-chat"',
            "[providers.up] base_url: is required",
        ),
        (
            "[providers.up]",
            "[providers.up] format: is required; one of openai-chat, openai-responses",
        ),
        (
            '[providers.up]\nformat = "openai"',
            "[providers.up] format: must be one of openai-chat, openai-responses, ",
        ),
        ("server = 3", "[server]: must be a table"),
        (
            '[guards]\noutput = ["secret"]',
            "[guards] output: 'secret' is not a guard; the guards are: all, ",
        ),
        ("[guards]\nboundaries = true", "[guards]: boundaries needs guards.boundary_secret; set"),
        (
            '[models.m]\nroutes = ["simulated/sim"]\nguards.boundaries = true',
            "[models.m] guards.boundaries: boundaries needs guards.boundary_secret; set it to",
        ),
        (
            "[server]\nhosts = ['ok', 'http://a:1']",
            "[server] hosts[1]: 'http://a:1' must be a host name without scheme, port and",
        ),
        ("[server]\nhosts = ['*.a']", "[server] hosts[0]: '*.a' must be a host name without"),
        ("[server]\nhosts = 'a'", "[server] hosts: must be a list"),
        (
            "[cors]\norigins = ['*']",
            "[cors] origins[0]: '*' would let every web page use this server, because requests",
        ),
        ("[cors]\norigins = ['null']", "[cors] origins[0]: 'null' would let every web page"),
        (
            "[cors]\norigins = ['https://a/']",
            "[cors] origins[0]: 'https://a/' must be scheme://host or scheme://host:port without",
        ),
        ("[cors]\norigins = ['a.example']", "[cors] origins[0]: 'a.example' must be scheme://"),
        (
            '[providers.up]\nformat = "openai-chat"\nbase_url = "http://a/v1\\n"',
            "[providers.up] base_url: must not contain white space",
        ),
        (
            UP + 'accepts = ["two words"]',
            "[providers.up] accepts[0]: must be a field, a value such as",
        ),
        (
            '[providers.up]\nformat = "openai-chat"\nbase_url = "http://a:99999/v1"',
            "[providers.up] base_url: is not a valid URL",
        ),
        (
            f'[providers.up]\nformat = "openai-chat"\nbase_url = "http://{"a" * 64}/v1"',
            "[providers.up] base_url: is not a valid URL",
        ),
        (
            '[providers.up]\nformat = "openai-chat"\nbase_url = "http://[::1"',
            "[providers.up] base_url: is not a valid URL",
        ),
        ('[store]\nurl = "sqlite://[x"', "[store] url: must be a URL, such as sqlite:///"),
        (f"a = {'[' * 9999}", "is not TOML: "),
        (UP + 'api_key = "a\\nb"', "[providers.up] api_key: contains characters"),
        (
            '[providers.s]\nformat = "simulated"\nscenario = "/nowhere.toml"',
            "[providers.s] scenario: /nowhere.toml: No such file",
        ),
        (
            UP + "[models.m]\nroutes = ['up/x']\nprice = { input = 1e300 }",
            "[models.m] price.input: must be less than or equal to 1000000, not 1e+300",
        ),
        ("[server]\ndrain_s = -1", "[server] drain_s: must be greater than or equal to 0, not -1"),
        (
            '[limits]\nbody_bytes = "many"',
            "[limits] body_bytes: must be a valid integer, not 'many'",
        ),
        ("[timeouts]\nidle_s = inf", "[timeouts] idle_s: must be a finite number, not inf"),
        ('[store]\nurl = "trouper.db"', "[store] url: must be a URL, such as sqlite:///trouper.db"),
        (
            '[turns]\nmode = "x"',
            "[turns] mode: must be 'attached', 'linger' or 'background', not 'x'",
        ),
        (UP + "[models.m]\nroutes = []", "[models.m] routes: must not be empty"),
        (
            UP + '[models.m]\nroutes = ["up"]',
            "[models.m] routes[0]: must be provider/upstream-model",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x", "down/x"]',
            "[models.m] routes[1]: unknown provider 'down'; the providers are up",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\nprice = { input = 0.00000001 }',
            "[models.m] price.input: must have no more than 6 decimal places, not 1e-08",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\nprice = { input = "much" }',
            "[models.m] price.input: must be a valid decimal, not 'much'",
        ),
        (
            UP + '[models.m]\nroutes = [{ route = "up" }]',
            "[models.m] routes[0].route: must be provider/upstream-model",
        ),
        (
            UP + '[models.m]\nroutes = [{ rout = "up/x", route = "up/x" }]',
            "[models.m] routes[0].rout: unknown key, did you mean route?",
        ),
        (UP + "[models.m]\nroutes = [{}]", "[models.m] routes[0].route: is required"),
        (
            UP + "[models.m]\nroutes = [7]",
            '[models.m] routes[0]: must be "provider/upstream-model", or a table',
        ),
        (
            UP + '[models.m]\nroutes = [{ route = "down/x" }]',
            "[models.m] routes[0]: unknown provider 'down'",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\ncapabilities = ["tools", "tolls"]',
            "[models.m] capabilities[1]: must be 'tools', 'images', 'files', 'audio', 'video', "
            "'reasoning' or 'prefill', not 'tolls'",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\ncontext_window = 0',
            "[models.m] context_window: must be greater than 0, not 0",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\ncontinue_instruction = " "',
            "[models.m] continue_instruction: must have 1 to 4000 characters",
        ),
        (
            UP + '[models.m]\nroutes = ["up/x"]\non_cut = "resume"',
            "[models.m] on_cut: must be 'continue', 'restart' or 'fail', not 'resume'",
        ),
        (
            UP + 'api_key = "a"\napi_keys = ["b"]',
            "[providers.up]: api_key and api_keys are both set; set one of them",
        ),
        (UP + "api_keys = []", "[providers.up] api_keys: must not be empty"),
        (UP + 'api_keys = ["a", "b c"]', "[providers.up] api_keys[1]: contains characters"),
        (UP + 'api_keys = "a"', "[providers.up] api_keys: must be a list"),
        (
            UP + 'ca_file = "/nowhere.pem"',
            "[providers.up] ca_file: /nowhere.pem: No such file",
        ),
        (
            UP + 'ca_file = "/dev/null"',
            "[providers.up] ca_file: /dev/null: contains no certificate",
        ),
        (
            UP + "limits = { concurent = 3 }",
            "[providers.up] limits.concurent: unknown key, did you mean concurrent?",
        ),
        (
            UP + "limits = { requests_per_minute = 0 }",
            "[providers.up] limits.requests_per_minute: must be greater than 0, not 0",
        ),
        (
            "[breaker]\nfailures = 3",
            "[breaker] failures: was replaced by failure_share (0.5 opens a breaker when half of"
            " the calls fail) and minimum_requests",
        ),
        (
            "[breaker]\nfailure_share = 50",
            "[breaker] failure_share: must be less than or equal to 1, not 50",
        ),
        (
            "[breaker]\ncooldown_s = 1000",
            "[breaker]: cooldown_max_s is less than cooldown_s; set it to at least",
        ),
        ('[providers."a/b"]\nformat = "simulated"', '[providers."a/b"]: a provider\'s name may'),
        (UP.replace("http://up", "ftp://up"), "[providers.up] base_url: must be an http://"),
        (
            UP.replace('up"', 'me:pw@up"'),
            "[providers.up] base_url: must not contain a user name or password",
        ),
        ("[server", "is not TOML:"),
    ],
)
def test_each_mistake_is_one_line(tmp_path: Path, toml: str, line: str) -> None:
    [found] = error_lines(tmp_path, toml)
    assert line in found


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    toml = UP + '[models.a]\nroutes = ["x/1"]\n[models.b]\nroutes = ["y/1"]'
    assert len(error_lines(tmp_path, toml)) == 2


@pytest.mark.parametrize("bind", ["0.0.0.0:8700", "[::]:8700", "example.com:80", "10.1.2.3:1"])
def test_bind_must_be_local_without_keys(tmp_path: Path, bind: str) -> None:
    [line] = error_lines(tmp_path, f'[server]\nbind = "{bind}"')
    assert f"{bind} can be reached from other machines" in line


@pytest.mark.parametrize("bind", ["", "8700", ":8700", "127.0.0.1:x", "127.0.0.1:70000", "a:-1"])
def test_bind_needs_host_and_port(tmp_path: Path, bind: str) -> None:
    [line] = error_lines(tmp_path, f'[server]\nbind = "{bind}"')
    assert "must be host:port" in line


def test_ipv6_bind_needs_brackets(tmp_path: Path) -> None:
    [line] = error_lines(tmp_path, '[server]\nbind = "::1:8700"')
    assert "in brackets: [::1]:8700" in line


def test_mistakes_in_variables_name_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TROUPER_LIMITS__BODY_BYTE", "1")
    monkeypatch.setenv("TROUPER_STRO__URL", "x")
    monkeypatch.setenv("TROUPER_JOURNAL__FLUSH_MS", "0")
    assert sorted(error_lines(tmp_path, "[journal]\nflush_ms = 5")) == [
        "environment: TROUPER_JOURNAL__FLUSH_MS: must be greater than 0, not '0'",
        "environment: TROUPER_LIMITS__BODY_BYTE: unknown key, did you mean body_bytes?",
        "environment: TROUPER_STRO: unknown section, did you mean store?",
    ]


def test_mistakes_on_the_command_line_name_the_command_line(tmp_path: Path) -> None:
    [line] = error_lines(tmp_path, "", store={"url": "x"})
    assert line.startswith("command line: [store] url: must be a URL")


@pytest.mark.parametrize("key", ["api_key", "apikey"])
def test_errors_do_not_repeat_secrets(tmp_path: Path, key: str) -> None:
    toml = f'{UP}{key} = ["sk-hush"]'
    [line] = error_lines(tmp_path, toml)
    assert "hush" not in line
