"""Supervisor process: owns the listening sockets and runs the server processes.

It uses a single thread with one selector and no async framework, because it must outlive
everything else.
"""

import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import structlog

from web.config import Config
from web.process import systemd
from web.process.listeners import SUPERVISED, open_sockets, take_inheritance
from web.server import ServerSettings
from web.supervisor import plan

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)

_log = structlog.get_logger("trouper.supervisor")


class Process:
    """A server process and the socket to it."""

    def __init__(self, command: Sequence[str], sockets: Sequence[socket.socket]) -> None:
        """Start the process with these sockets. Raises `OSError`."""
        self.control, theirs = socket.socketpair()
        self.control.setblocking(False)
        passed = [sock.fileno() for sock in sockets]
        environ = {k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"}
        environ[SUPERVISED] = f"{theirs.fileno()}:{','.join(map(str, passed))}"
        with theirs:
            self.popen = subprocess.Popen(
                command,
                env=environ,
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *passed),
                process_group=0,  # Ctrl-C must reach only us: we forward it as one order
            )

    def send(self, order: plan.Command) -> None:
        """Send an order; errors are ignored, because a dead process needs no orders."""
        with suppress(OSError):
            self.control.send(order.value)

    def receive(self) -> bytes:
        """Return the process's messages; `b""` if it has closed its end."""
        try:
            return self.control.recv(16)
        except OSError:
            return b""


class Supervisor:
    """Executor of the actions that `SupervisorPlan` decides on, until one of them is to exit."""

    def __init__(
        self, processes: int, command: Sequence[str], sockets: Sequence[socket.socket]
    ) -> None:
        self._plan = plan.SupervisorPlan(processes)
        self._command = command
        self._sockets = sockets
        self._processes: dict[int, Process] = {}
        self._selector = selectors.DefaultSelector()
        self._code: int | None = None

    def run(self) -> int:
        """Supervise until the plan ends; return the exit code."""
        with self._selector, _signals() as signals:
            self._selector.register(signals, selectors.EVENT_READ)
            self._do(self._plan.begin(time.monotonic()))
            while self._code is None:
                due = self._plan.wake_at
                timeout = None if due is None else max(0.0, due - time.monotonic())
                for key, _ in self._selector.select(timeout):
                    if key.data is None:
                        self._take_signals(signals.recv(4096))
                    else:
                        self._receive_from(key.data)
                self._do(self._plan.tick(time.monotonic()))
        return self._code

    def _take_signals(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGHUP:
                self._do(self._plan.reload(time.monotonic()))
            elif number != signal.SIGCHLD:
                _log.info("signal received", name=signal.Signals(number).name)
                systemd.notify(systemd.STOPPING)
                self._do(self._plan.stop())
        self._reap()

    def _reap(self) -> None:
        for number, process in list(self._processes.items()):
            code = process.popen.poll()
            if code is not None:
                self._forget(number, code)

    def _forget(self, number: int, code: int) -> None:
        process = self._processes.pop(number)
        with suppress(KeyError):
            self._selector.unregister(process.control)
        process.control.close()
        level = "info" if code == 0 else "warning"
        getattr(_log, level)("process ended", process=process.popen.pid, code=code)
        self._do(self._plan.exited(number, code, time.monotonic()))

    def _receive_from(self, number: int) -> None:
        process = self._processes.get(number)
        if process is None:
            return  # it was reaped while handling an earlier event of the same `select`
        message = process.receive()
        if not message:
            self._selector.unregister(process.control)
        elif plan.READY in message:
            _log.info("process ready", process=process.popen.pid)
            self._do(self._plan.ready(number, time.monotonic()))

    def _do(self, actions: Iterable[plan.Action]) -> None:
        for action in list(actions):
            match action:
                case plan.Start(number):
                    self._start(number)
                case plan.Send(number, order):
                    if number in self._processes:
                        self._processes[number].send(order)
                case plan.Kill(number):
                    self._processes[number].popen.kill()
                case plan.Announce():
                    systemd.notify(systemd.READY)
                case plan.Note():
                    self._note(action)
                case plan.Finish(code):
                    self._code = code

    def _start(self, number: int) -> None:
        try:
            process = Process(self._command, self._sockets)
        except OSError as error:
            _log.error("process start failed", error=str(error))
            self._do(self._plan.exited(number, 1, time.monotonic()))
            return
        self._processes[number] = process
        self._selector.register(process.control, selectors.EVENT_READ, number)
        _log.info("process started", process=process.popen.pid)

    def _note(self, note: plan.Note) -> None:
        process = self._processes.get(note.number) if note.number is not None else None
        fields = {} if process is None else {"process": process.popen.pid}
        (_log.error if note.is_error else _log.info)(note.event, **fields)


@contextmanager
def _signals() -> Iterator[socket.socket]:
    """Yield a socket from which the numbers of received signals can be read.

    A wakeup descriptor is used because `select` cannot wait for signals directly.
    """
    reader, writer = socket.socketpair()
    reader.setblocking(False)
    writer.setblocking(False)
    with reader, writer:
        before = {number: signal.signal(number, _wake) for number in _SIGNALS}
        descriptor = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        try:
            yield reader
        finally:
            signal.set_wakeup_fd(descriptor)
            for number, handler in before.items():
                signal.signal(number, handler)


def _wake(number: int, frame: FrameType | None) -> None:
    """Do nothing: a handler must exist for Python to write the number to the socket."""


def supervise(config: Config, processes: int) -> int:
    """Listen, keep `processes` servers running, and return the exit code.

    Raises `StartupRefused`.
    """
    inheritance = take_inheritance(os.environ, os.getpid())
    settings = ServerSettings(write_stall_s=config.limits.write_stall_s)
    sockets = open_sockets(config.server.bind, inheritance.sockets, settings)
    return Supervisor(processes, own_command(sys.orig_argv), sockets).run()


def own_command(orig_argv: Sequence[str], executable: str = sys.executable) -> list[str]:
    """Return the command line that starts this program again.

    A script is executed directly instead of with the running interpreter, because after an
    upgrade its first line may name another one.
    """
    script = Path(orig_argv[1]) if len(orig_argv) > 1 else None
    if script is not None and script.is_file() and os.access(script, os.X_OK):
        return [str(script), *orig_argv[2:]]
    return [executable, *orig_argv[1:]]
