"""Runs a module with a listening socket inherited as from systemd socket activation.

`python -m tests.live.activated PORT NOTIFY_SOCKET MODULE ARGUMENT…`. The socket is passed as
`sd_listen_fds(3)` describes.
"""

import os
import socket
import sys

SD_LISTEN_FDS_START = 3


def main() -> None:
    """Listen on the port and replace this process with the module."""
    port, notify_socket, module, *arguments = sys.argv[1:]
    listener = socket.create_server(("127.0.0.1", int(port)))
    os.dup2(listener.fileno(), SD_LISTEN_FDS_START)
    os.set_inheritable(SD_LISTEN_FDS_START, True)
    activation = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "NOTIFY_SOCKET": notify_socket}
    command = [sys.executable, "-m", module, *arguments]
    os.execve(sys.executable, command, {**os.environ, **activation})  # noqa: S606


if __name__ == "__main__":
    main()
