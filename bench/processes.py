"""Child processes of a run: starts them, pins them to CPUs, and ends them by process id."""

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
    """The CPUs of the relay, and those of the upstream and the load generator (drivers)."""

    relay: frozenset[int]
    drivers: frozenset[int]

    def __str__(self) -> str:
        return f"relay on CPU {_numbers(self.relay)}, the rest on CPU {_numbers(self.drivers)}"


def choose_cores() -> Cores | None:
    """Return one CPU for the relay and the others for the drivers; None if not possible."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    mine = sorted(os.sched_getaffinity(0))
    if len(mine) < 2:
        return None
    return Cores(frozenset(mine[-1:]), frozenset(mine[:-1]))


def free_port() -> int:
    """Return a port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class DidNotStart(Exception):
    """A process ended or did not respond before it was ready. The message has its log's end."""


class Failed(Exception):
    """A load generator failed. The message has the end of its log."""


class Child:
    """A process that logs to a file. Leaving the context ends it."""

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
        """Start the process. With `piped`, stdout can be read here and does not go to the log."""
        self._log = log
        with log.open("ab") as sink:
            # A new session, so that Ctrl-C reaches only the orchestrator, which ends its
            # children in order.
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
        """Id of the process."""
        return self._process.pid

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Send SIGTERM, then SIGKILL if the process does not end in 8 s."""
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
        """Return the next line of stdout. Raises `DidNotStart` if there is none."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().decode().strip()
        if not line:
            raise DidNotStart(self.log_tail())
        return line

    def output(self, patience_s: float) -> bytes:
        """Wait for the end and return all of stdout. Raises `Failed` if it did not succeed."""
        try:
            output, _ = self._process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done in {patience_s:g} s\n{self.log_tail()}") from None
        if self._process.returncode:
            raise Failed(f"exit code {self._process.returncode}\n{self.log_tail()}")
        return output

    def wait_for_http(self, port: int, path: str, patience_s: float) -> None:
        """Wait until a GET has any response. Raises `DidNotStart` if the process ends first."""
        deadline = time.monotonic() + patience_s
        while not _answers(port, path):
            if exit_reason := self.ended():
                raise DidNotStart(exit_reason)
            if time.monotonic() > deadline:
                raise DidNotStart(
                    f"no answer on port {port} in {patience_s:g} s\n{self.log_tail()}"
                )
            time.sleep(0.05)

    def ended(self) -> str | None:
        """Return the exit code and log of a process that ended by itself, or None."""
        code = self._process.poll()
        return None if code is None else f"exit code {code}\n{self.log_tail()}"

    def log_tail(self) -> str:
        """Return the end of the log."""
        lines = self._log.read_text(errors="replace").splitlines()[-12:]
        return "\n".join(f"    {line}" for line in lines) or "    (the log is empty)"


def python(*arguments: str) -> list[str]:
    """Return a command that runs this interpreter."""
    return [sys.executable, *arguments]


def _answers(port: int, path: str) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as probe:
            probe.sendall(
                f"GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode()
            )
            return probe.recv(5) == b"HTTP/"
    except OSError:
        return False


def _numbers(cpus: frozenset[int]) -> str:
    return ",".join(map(str, sorted(cpus)))
