"""How the parent starts itself again."""

from pathlib import Path

from web.supervise.parent import own_command


def test_a_module_is_started_by_the_same_interpreter() -> None:
    given = ["python", "-m", "web.cli", "serve", "--supervise", "2"]
    assert own_command(given, "/opt/python") == ["/opt/python", *given[1:]]


def test_a_script_is_started_as_such(tmp_path: Path) -> None:
    script = tmp_path / "trouper"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    assert own_command(["python", str(script), "serve"], "/p") == [str(script), "serve"]


def test_a_script_that_cannot_be_executed_needs_the_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "trouper.py"
    script.write_text("")
    script.chmod(0o644)
    assert own_command(["python", str(script)], "/p") == ["/p", str(script)]
