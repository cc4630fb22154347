"""Output and exit codes of the commands."""

import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer.testing

import web.drill.witness
import web.main
import web.supervisor.parent
from web.cli import app
from web.config import Config
from web.process.startup import StartupRefused
from web.version import VERSION

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPER_CONFIG", raising=False)


def trouper(*arguments: str) -> typer.testing.Result:
    return typer.testing.CliRunner().invoke(app, arguments)


def test_version() -> None:
    result = trouper("--version")
    assert (result.exit_code, result.stdout) == (0, f"trouper {VERSION}\n")


def test_version_imports_no_server_packages() -> None:
    code = (
        "import sys, web.cli; print(*{'trio', 'pydantic', 'quart', 'sqlalchemy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "\n"


def test_unknown_command_or_option_is_a_usage_error() -> None:
    assert trouper("sevre").exit_code == 2
    assert trouper("serve", "--bnd", "x").exit_code == 2


class TestCheck:
    def test_prints_the_effective_configuration(self) -> None:
        result = trouper("check", "--bind", "127.0.0.1:9", "--store", "sqlite:///x.db")
        assert result.exit_code == 0
        tree = tomllib.loads(result.stdout)
        assert tree["server"]["bind"] == "127.0.0.1:9"
        assert tree["store"]["url"] == "sqlite:///x.db"

    def test_reports_all_errors_and_fails(self, tmp_path: Path) -> None:
        path = tmp_path / "t.toml"
        path.write_text("[server]\nbin = 1\n[stroe]\n")
        result = trouper("check", "--config", str(path))
        assert result.exit_code == 1
        assert result.stdout == ""
        assert result.stderr.splitlines() == [
            f"trouper: {path}: [server] bin: unknown key, did you mean bind?",
            f"trouper: {path}: [stroe]: unknown section, did you mean store?",
        ]

    def test_notes_a_missing_key_and_succeeds(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("NO_SUCH_KEY", raising=False)
        path = tmp_path / "t.toml"
        path.write_text(
            '[providers.up]\nformat = "openai-chat"\nbase_url = "http://up"\n'
            'api_key = "env:NO_SUCH_KEY"\n'
        )
        result = trouper("check", "--config", str(path))
        assert result.exit_code == 0
        assert "NO_SUCH_KEY is missing" in result.stderr


class TestServe:
    def test_runs_the_configuration_and_exits_with_its_code(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = []

        def run(config: Config) -> int:
            seen.append(str(config.server.bind))
            return 0

        monkeypatch.setattr(web.main, "run", run)
        assert trouper("serve", "--bind", "127.0.0.1:9").exit_code == 0
        assert seen == ["127.0.0.1:9"]

    @pytest.mark.parametrize("child", [False, True])
    def test_parent_supervises_and_children_serve(
        self, monkeypatch: pytest.MonkeyPatch, child: bool
    ) -> None:
        monkeypatch.setattr(web.main, "run", lambda config: 11)
        monkeypatch.setattr(web.supervisor.parent, "supervise", lambda config, n: 20 + n)
        if child:
            monkeypatch.setenv("TROUPER_SUPERVISED", "5:6")
        assert trouper("serve", "--supervise", "2").exit_code == (11 if child else 22)

    def test_zero_processes_are_a_usage_error(self) -> None:
        assert trouper("serve", "--supervise", "0").exit_code == 2

    @pytest.mark.parametrize("depth", [0, 1, 2])
    def test_startup_refusal_is_reported_in_one_line(
        self, monkeypatch: pytest.MonkeyPatch, depth: int
    ) -> None:
        error: Exception = StartupRefused("the port is in use")
        for _ in range(depth):
            error = ExceptionGroup("of a nursery", [error])

        def run(config: Config) -> int:
            raise error

        monkeypatch.setattr(web.main, "run", run)
        result = trouper("serve")
        assert result.exit_code == 1
        assert result.stderr == "trouper: the port is in use\n"

    def test_does_not_hide_a_bug(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def run(config: Config) -> int:
            raise ExceptionGroup("of a nursery", [StartupRefused("no"), KeyError("bug")])

        monkeypatch.setattr(web.main, "run", run)
        result = trouper("serve")
        assert isinstance(result.exception, ExceptionGroup)
        assert [type(error) for error in result.exception.exceptions] == [KeyError]


class TestSimulate:
    def test_port_in_use_is_reported_in_one_line(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = trouper("simulate", "--bind", address)
        assert result.exit_code == 1
        assert result.stderr == (
            f"trouper: --bind {address}: another process uses this port; choose another port\n"
        )

    def test_unwritable_witness_file_is_reported_in_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "nowhere" / "witness"
        result = trouper("simulate", "--bind", "127.0.0.1:0", "--witness", str(path))
        assert result.exit_code == 1
        assert result.stderr == f"trouper: --witness {path}: No such file or directory\n"

    def test_bad_scenario_is_reported_in_one_line(self, tmp_path: Path) -> None:
        path = tmp_path / "scenario.toml"
        path.write_text("[nonsense]")
        result = trouper("simulate", "--scenario", str(path))
        assert result.exit_code == 1
        assert result.stderr.startswith(f"trouper: --scenario {path}: unknown table 'nonsense'")

    def test_bind_without_port_is_a_usage_error(self) -> None:
        assert trouper("simulate", "--bind", "here").exit_code == 2

    def test_options_reach_the_settings(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        seen = []
        monkeypatch.setattr(web.drill.witness, "run_simulated", lambda s, announce: seen.append(s))
        witness = tmp_path / "w"
        arguments = ["--bind", "[::1]:5", "--witness", str(witness), "--witness-tokens"]
        assert trouper("simulate", *arguments).exit_code == 0
        [settings] = seen
        assert (settings.host, settings.port) == ("::1", 5)
        assert (settings.witness, settings.witness_tokens) == (witness, True)
