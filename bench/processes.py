"""Child processes of a run: started, pinned, and ended by their own pid."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from msgspec import Struct

REPO = Path(__file__).resolve().parent.parent
_STOP_S = 8.0


class Cores(Struct, frozen=True):
    """Which CPUs the relay may use, and which upstream and load generator."""

    relay: frozenset[int]
    drivers: frozenset[int]

    def __str__(self) -> str:
        return f"relay on CPU {_numbers(self.relay)}, the rest on CPU {_numbers(self.drivers)}"


def choose_cores() -> Cores | None:
    """One CPU for the relay and the others for the rest; None where that cannot be had."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return None
    return Cores(frozenset(mine[-1:]), frozenset(mine[:-1]))


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DidNotStart(Exception):
    """A process ended or stayed silent before it served. The message has the end of its log."""


class Failed(Exception):
    """A load generator did not do its work. The message has the end of its log."""


class Child:
    """A process with its log in a file; leaving the context ends it."""

    def __init__(
        self,
        command: list[str],
        log: Path,
        *,
        cores: frozenset[int] | None = None,
        env: dict[str, str] | None = None,
        cwd: Path = REPO,
        piped: bool = False,
    ) -> None:
        """`piped`: its stdout is read here instead of going to the log."""
        self._log = log
        with log.open("ab") as sink:
            # In a session of its own, so that Ctrl-C reaches only the orchestrator, which ends
            # its children in order.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if piped else sink,
                stderr=sink,
                env=os.environ | {"PYTHONPATH": str(REPO)} | (env or {}),
                cwd=cwd,
                start_new_session=True,
            )
        if cores is not None:
            os.sched_setaffinity(self._process.pid, cores)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL for one that does not listen."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._process.poll() is None:
                self._process.send_signal(number)
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                continue
            return

    def read_line(self) -> str:
        """The next line of its stdout. DidNotStart when there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise DidNotStart(self.why())
        return line

    def output(self, patience_s: float) -> bytes:
        """All of its stdout, once it has ended. Failed when it did not end well."""
        try:
            output, _ = self._process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done in {patience_s:g} s\n{self.why()}") from None
        if self._process.returncode:
            raise Failed(f"exit code {self._process.returncode}\n{self.why()}")
        return output

    def wait_for_http(self, port: int, path: str, patience_s: float) -> None:
        """Until it answers a GET with anything. DidNotStart when it ends or stays silent."""
        deadline = time.monotonic() + patience_s
        while not _answers(port, path):
            if how := self.ended():
                raise DidNotStart(how)
            if time.monotonic() > deadline:
                raise DidNotStart(f"no answer on port {port} in {patience_s:g} s\n{self.why()}")
            time.sleep(0.05)

    def ended(self) -> str | None:
        """How it ended, if it did by itself."""
        code = self._process.poll()
        return None if code is None else f"exit code {code}\n{self.why()}"

    def why(self) -> str:
        """The end of its log."""
        lines = self._log.read_text(errors="replace").splitlines()[-12:]
        return "\n".join(f"    {line}" for line in lines) or "    (it said nothing)"


def python(*arguments: str) -> list[str]:
    """A command of this interpreter."""
    return [sys.executable, *arguments]


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(
                f"GET {path} HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n".encode()
            )
            return probe.recv(5) == b"HTTP/"
    except OSError:
        return False


def _numbers(cpus: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
