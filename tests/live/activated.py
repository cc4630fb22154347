"""Starts a module as systemd starts a service: `PORT NOTIFY_SOCKET MODULE ARGUMENT…`."""

import os
import socket
import sys

FIRST = 3


def main() -> None:
    """Listen, and become the module."""
    port, news, module, *arguments = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(port)))
    os.dup2(listener.fileno(), FIRST)
    os.set_inheritable(FIRST, True)
    told = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "NOTIFY_SOCKET": news}
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, {**os.environ, **told})  # noqa: S606


if __name__ == "__main__":
    main()
