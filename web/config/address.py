"""Listen addresses: `host:port`, or an inherited socket as `fd://N`."""

from ipaddress import ip_address
from typing import NamedTuple, Self


class Address(NamedTuple):
    """A host and a TCP port; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `127.0.0.1:8700`, `[::1]:8700` or `localhost:8700`. Raise `ValueError`."""
        host, colon, port = text.rpartition(":")
        if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError("must be host:port, such as 127.0.0.1:8700 or [::1]:8700")
        if host.startswith("[") and host.endswith("]"):
            return cls(host[1:-1], int(port))
        if ":" in host:
            raise ValueError(f"must have its IPv6 address in brackets: [{host}]:{port}")
        return cls(host, int(port))

    @property
    def is_loopback(self) -> bool:
        """True if only this machine can reach the address.

        A host name other than `localhost` never counts, because it may resolve to anything.
        """
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


class Inherited(NamedTuple):
    """A listening socket inherited as file descriptor `fd`."""

    fd: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `fd://3`. Raise `ValueError`."""
        number = text.removeprefix("fd://")
        if not (text.startswith("fd://") and number.isascii() and number.isdigit()):
            raise ValueError("must be fd:// and a file descriptor number, such as fd://3")
        return cls(int(number))

    def __str__(self) -> str:
        return f"fd://{self.fd}"
