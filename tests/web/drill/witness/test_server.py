"""Start of the simulated provider's server."""

import socket
from pathlib import Path

import pytest

from web.drill.witness import SimulateSettings, run_simulated


def never(_: str) -> None:
    raise AssertionError("the server must not start")


def test_port_in_use_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = SimulateSettings(port=taken.getsockname()[1])
        with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="in use"), flatten_subgroups=True):
            run_simulated(settings, never)


def test_unwritable_witness_file_is_an_os_error(tmp_path: Path) -> None:
    with pytest.RaisesGroup(FileNotFoundError, flatten_subgroups=True):
        run_simulated(SimulateSettings(witness=tmp_path / "missing" / "file"), never)
