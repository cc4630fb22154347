"""The real server and a witness upstream, each in a process of its own, and how to wait.

Whatever a test does, both processes are gone when the `with` that started them is left.
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

ROOT = Path(__file__).parents[2]
FULL = os.environ.get("TROUPER_LIVE_FULL") == "1"
"""Whether to take as many disconnects and as much time as the claims are made for."""
START_S = 30.0
WITHIN_S = 15.0
PAUSE_S = 0.002


async def until(find: Callable[[], Awaitable[T]], within_s: float = WITHIN_S) -> T:
    """Ask `find` again and again until it gives something; fails after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not (found := await find()):
        assert time.monotonic() < deadline, f"{find} has found nothing in {within_s} s"
        await trio.sleep(PAUSE_S)
    return found


class Process:
    """A process of ours, what it says on standard error, and where it listens."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.log = log
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
    def said(self) -> str:
        """All that it has printed."""
        return self.log.read_text("utf-8", "replace")

    def await_url(self, read: Callable[[str], str | None]) -> None:
        """Wait until `read` finds a URL in what it says."""
        deadline = time.monotonic() + START_S
        while (url := read(self.said)) is None:
            assert self._popen.poll() is None, f"it did not start: {self.said}"
            assert time.monotonic() < deadline, f"it does not listen: {self.said}"
            time.sleep(0.01)
        self.port = urlsplit(url).port or 0

    def signal(self, number: int) -> None:
        """Send a signal."""
        self._popen.send_signal(number)

    def kill(self) -> None:
        """End it at once, without a word, and reap it."""
        self._popen.kill()
        self._popen.wait()

    def exit_code(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end. Blocks, so that it is for tests that wait for nothing else."""
        return self._popen.wait(within_s)

    async def ended(self, within_s: float = WITHIN_S) -> int:
        """Wait for its end."""

        async def look() -> bool:
            return self._popen.poll() is not None

        await until(look, within_s)
        return self._popen.returncode

    def close(self) -> None:
        """Make sure that it is gone."""
        if self._popen.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                self.kill()


class Server(Process):
    """`trouper serve`, its database and its log."""

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
        """The log's lines of one event."""
        # The last one may still be on its way.
        whole = self.said.rpartition("\n")[0].splitlines()
        lines = [json.loads(line) for line in whole if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def rows(self, query: str) -> list[tuple[object, ...]]:
        """Read the database, from outside and read-only."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()


@contextmanager
def witness(directory: Path, *options: str) -> Iterator[Process]:
    """Serve the simulated provider over HTTP."""
    arguments = ["web.cli", "simulate", "--bind", "127.0.0.1:0", *options]
    process = Process(arguments, directory / "witness.log")
    try:
        process.await_url(lambda said: said.strip() if said.endswith("\n") else None)
        yield process
    finally:
        process.close()


def write_config(directory: Path, upstream: int, settings: str = "", *, port: int = 0) -> Path:
    """A configuration with the provider `up` on the port `upstream`.

    `settings` is more TOML: it may begin with keys of `[server]`.
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
    """Start the server and wait until it listens; the database lies in `directory`."""
    log = log or directory / f"server-{time.monotonic_ns()}.log"
    server = Server(config, directory / "trouper.db", log, wrapper, options)
    try:
        server.await_url(_listening)
        yield server
    finally:
        server.close()


def _listening(said: str) -> str | None:
    for line in said.splitlines(keepends=True):
        if line.startswith("{") and line.endswith("\n"):
            found = json.loads(line)
            if found["event"] == "listening":
                return str(found["url"])
    return None
