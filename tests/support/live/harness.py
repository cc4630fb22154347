"""Starts `trouper serve` and the simulated provider as subprocesses, and polls for conditions.

Leaving the `with` block that started a process ends it, even when the test fails.
"""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import trio

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
START_TIMEOUT_S = 30.0
TIMEOUT_S = 15.0
POLL_S = 0.002


async def until(find: Callable[[], Awaitable[T]], within_s: float = TIMEOUT_S) -> T:
    """Poll `find` until it returns something true, and return that; fail after `within_s`."""
    deadline = time.monotonic() + within_s
    while not (found := await find()):
        assert time.monotonic() < deadline, f"{find} found nothing within {within_s} s"
        await trio.sleep(POLL_S)
    return found


class Process:
    """A subprocess with its log file and the address that it listens on."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
        # TROUPER_* variables of the developer's shell would override the test's configuration.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("TROUPER_")}
        with log.open("wb") as stderr:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=ROOT,
                env={**inherited, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
            )
        self.pid = self._popen.pid
        self.host = "127.0.0.1"
        self.port = 0

    @property
    def output(self) -> str:
        """Everything printed to standard output and standard error so far."""
        return self.log.read_text("utf-8", "replace")

    def await_url(self, read: Callable[[str], str | None]) -> None:
        """Wait until `read` finds the listening URL in the output, and keep its port."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while (url := read(self.output)) is None:
            assert self._popen.poll() is None, f"the process did not start: {self.output}"
            assert time.monotonic() < deadline, f"the process does not listen: {self.output}"
            time.sleep(0.01)
        self.port = urlsplit(url).port or 0

    def signal(self, number: int) -> None:
        """Send the process a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL and reap the process."""
        self._popen.kill()
        self._popen.wait()

    async def wait(self, within_s: float = TIMEOUT_S) -> int:
        """Wait for the exit and return the exit code."""

        async def look() -> bool:
            return self._popen.poll() is not None

        await until(look, within_s)
        return self._popen.returncode

    def close(self) -> None:
        """End the process: SIGTERM, then SIGKILL after five seconds."""
        if self._popen.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


class Server(Process):
    """A `trouper serve` process with its database and its log."""

    def __init__(
        self,
        config: Path,
        database: Path,
        log: Path,
        wrapper: Sequence[str],
        options: Sequence[str] = (),
    ) -> None:
        super().__init__([*wrapper, "web.cli", "serve", "--config", str(config), *options], log)
        self.database = database

    def logged(self, event: str) -> list[dict[str, object]]:
        """Return the log lines of one event."""
        # The process may still be writing the last line.
        whole = self.output.rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Run a query on the database from this process, read-only."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


@contextmanager
def simulated_provider(directory: Path, *options: str) -> Iterator[Process]:
    """Run `trouper simulate`, the simulated provider, on a free port."""
    arguments = ["web.cli", "simulate", "--bind", "127.0.0.1:0", *options]
    process = Process(arguments, directory / "witness.log")
    try:
        process.await_url(lambda output: output.strip() if output.endswith("\n") else None)
        yield process
    finally:
        process.close()


def write_config(directory: Path, upstream: int, settings: str = "", *, port: int = 0) -> Path:
    """Write a configuration with the provider `up` on the port `upstream`; return its path.

    `settings` is TOML appended after the `[server]` table's `bind`, so it may start with
    further keys of `[server]`.
    """
    path = directory / "trouper.toml"
    path.write_text(
        f"""
[providers.up]
format = "openai-chat"
base_url = "http://127.0.0.1:{upstream}/v1"
[store]
url = "sqlite:///{directory}/trouper.db"
[server]
bind = "127.0.0.1:{port}"
{settings}
"""
    )
    return path


@contextmanager
def serving(
    directory: Path,
    config: Path,
    *,
    wrapper: Sequence[str] = (),
    log: Path | None = None,
    options: Sequence[str] = (),
) -> Iterator[Server]:
    """Start a server with its database in `directory`, and wait until it listens.

    `wrapper` names a module, and its arguments, that starts `web.cli` in place of the interpreter.
    """
    log = log or directory / f"server-{time.monotonic_ns()}.log"
    server = Server(config, directory / "trouper.db", log, wrapper, options)
    try:
        server.await_url(_listening)
        yield server
    finally:
        server.close()


def _listening(output: str) -> str | None:
    for line in output.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            found = json.loads(line)
            if found["event"] == "server started":
                return str(found["url"])
    return None
