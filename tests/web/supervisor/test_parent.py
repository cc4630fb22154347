"""The command with which the supervisor starts its children."""

from pathlib import Path

from web.supervisor.parent import own_command


def test_module_is_started_by_the_same_interpreter() -> None:
    given = ["python", "-m", "web.cli", "serve", "--supervise", "2"]
    assert own_command(given, "/opt/python") == ["/opt/python", *given[1:]]


def test_executable_script_is_started_directly(tmp_path: Path) -> None:
    script = tmp_path / "trouper"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert own_command(["python", str(script), "serve"], "/p") == [str(script), "serve"]


def test_other_script_is_started_by_the_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "trouper.py"
    script.write_text("")
    script.chmod(0o644)
    assert own_command(["python", str(script)], "/p") == ["/p", str(script)]
