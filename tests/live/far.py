"""Another machine, as far as the network can tell: a network namespace at the end of a cable."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live.needs import need

WITHIN_S = 10


class FarMachine:
    """Its name, and the address at which it finds us."""

    def __init__(self, name: str, here: str) -> None:
        self.name = name
        self.here = here

    @contextmanager
    def running(self, command: Sequence[str], output: Path) -> Iterator[None]:
        """Run a command there, with its output in a file, and end it."""
        with output.open("wb") as file:
            process = subprocess.Popen(
                ["ip", "netns", "exec", self.name, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        try:
            yield
        finally:
            process.kill()
            process.wait()

    def vanish(self) -> None:
        """Pull the cable: nothing arrives any more, and nobody says so."""
        _ip("-n", self.name, "link", "set", "far", "down")


@contextmanager
def far_machine() -> Iterator[FarMachine]:
    """A machine that is gone in the end."""
    need(shutil.which("ip") is not None, "`ip` is missing: install iproute2")
    name, cable = f"trouper-{os.getpid()}", f"tr{os.getpid()}"
    net = f"10.203.{os.getpid() % 250}"
    made = _try("netns", "add", name)
    need(made == "", f"no network namespace can be made here ({made}): it takes root")
    try:
        _ip("link", "add", cable, "type", "veth", "peer", "name", "far", "netns", name)
        _ip("addr", "add", f"{net}.1/30", "dev", cable)
        _ip("link", "set", cable, "up")
        _ip("-n", name, "addr", "add", f"{net}.2/30", "dev", "far")
        _ip("-n", name, "link", "set", "far", "up")
        yield FarMachine(name, f"{net}.1")
    finally:
        _try("link", "del", cable)  # it would go with the namespace, but later
        _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    problem = _try(*arguments)
    assert not problem, f"ip {' '.join(arguments)}: {problem}"


def _try(*arguments: str) -> str:
    """What went wrong; empty if nothing did."""
    done = subprocess.run(["ip", *arguments], capture_output=True, timeout=WITHIN_S, check=False)
    return done.stderr.decode().strip() if done.returncode else ""
