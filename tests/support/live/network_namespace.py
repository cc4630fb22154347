"""Network namespace that acts as another machine, connected by a virtual cable (veth pair)."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.live.prerequisites import require

TIMEOUT_S = 10


class NetworkNamespace:
    """A network namespace, and the address at which its processes reach this machine."""

    def __init__(self, name: str, here: str) -> None:
        self.name = name
        self.host_address = here

    @contextmanager
    def running(self, command: Sequence[str], output: Path) -> Iterator[None]:
        """Run a command in the namespace with its output in a file; kill it on exit."""
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

    def unplug(self) -> None:
        """Take the namespace's interface down: packets are lost without FIN or RST."""
        _ip("-n", self.name, "link", "set", "far", "down")


@contextmanager
def network_namespace() -> Iterator[NetworkNamespace]:
    """Create a namespace that is deleted on exit; skip the test where that is impossible."""
    require(shutil.which("ip") is not None, "`ip` is missing: install iproute2")
    name, interface = f"trouper-{os.getpid()}", f"tr{os.getpid()}"
    # All of the process id: a killed run may leave its namespace and its network behind.
    net = f"10.{200 + os.getpid() // 250 % 50}.{os.getpid() % 250}"
    error = _try("netns", "add", name)
    require(error == "", f"creating a network namespace needs root: {error}")
    try:
        _ip("link", "add", interface, "type", "veth", "peer", "name", "far", "netns", name)
        _ip("addr", "add", f"{net}.1/30", "dev", interface)
        _ip("link", "set", interface, "up")
        _ip("-n", name, "addr", "add", f"{net}.2/30", "dev", "far")
        _ip("-n", name, "link", "set", "far", "up")
        yield NetworkNamespace(name, f"{net}.1")
    finally:
        _try("link", "del", interface)  # deleting the namespace removes it too, but asynchronously
        _ip("netns", "del", name)


def _ip(*arguments: str) -> None:
    error = _try(*arguments)
    assert not error, f"ip {' '.join(arguments)}: {error}"


def _try(*arguments: str) -> str:
    """Run `ip` and return its error output; empty on success."""
    done = subprocess.run(["ip", *arguments], capture_output=True, timeout=TIMEOUT_S, check=False)
    return done.stderr.decode().strip() if done.returncode else ""
