"""Runs a module with the server bound to an address that the configuration would not accept.

`python -m tests.live.bound HOST MODULE …`. Without API keys `trouper serve` refuses to bind
addresses that other machines can reach; tests with a network namespace need one.
"""

import runpy
import socket
import sys

import web.main
import web.process.listeners
from web.config import Address, Inherited
from web.process.listeners import open_sockets
from web.server import ServerSettings


def main() -> None:
    """Make the server listen on a free port of the host and run the module."""
    host, module, *arguments = sys.argv[1:]

    def listen(
        bind: Address | Inherited, passed: tuple[int, ...], settings: ServerSettings
    ) -> list[socket.socket]:
        return open_sockets(Address(host, 0), (), settings)

    vars(web.process.listeners)["_check_loopback"] = lambda sock: None
    vars(web.main)["open_sockets"] = listen
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
