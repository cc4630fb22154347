"""Types of settings: secrets, addresses, inherited sockets, host names, origins and routes.

Secrets are given literally or by reference (`env:NAME`, `file:PATH`).
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    SecretStr,
    model_serializer,
    model_validator,
)

from actors.turn.model_call import Route

MASK = "***"

_HOST_NAME = r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?"
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST_NAME}|\[[0-9a-f:.]+\])(:[0-9]{{1,5}})?")
_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


class Secret(BaseModel):
    """A secret with its reference and the value that it had when the configuration was loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: str | None
    """`env:NAME` or `file:PATH`; None if the secret was given literally."""
    value: SecretStr | None
    """The secret; None if the variable is unset, or the file is unreadable or empty."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, written: object) -> object:
        """Resolve a secret as the configuration gives it, now."""
        if isinstance(written, Secret):
            return written
        if not isinstance(written, str):
            raise ValueError("must be a string: env:NAME, file:PATH or the secret itself")
        kind, colon, name = written.partition(":")
        if colon and kind == "env":
            return {"reference": written, "value": os.environ.get(name, "").strip() or None}
        if colon and kind == "file":
            return {"reference": written, "value": _content(Path(name)) or None}
        return {"reference": None, "value": written.strip() or None}

    @property
    def problem(self) -> str | None:
        """The reason for a missing value, naming the reference; None if the secret has a value."""
        if self.value is not None:
            return None
        if self.reference is None:
            return "is empty"
        kind, _, name = self.reference.partition(":")
        source = "environment variable" if kind == "env" else "file"
        return f"{source} {name} is missing, unreadable or empty"

    @model_serializer
    def shown(self) -> str:
        """Return the reference, or `***`: safe to print."""
        return self.reference or MASK


class Address(NamedTuple):
    """A host and a TCP port; port 0 lets the system choose one."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse `127.0.0.1:8700`, `[::1]:8700` or `localhost:8700`. Raises `ValueError`."""
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
        """Parse `fd://3`. Raises `ValueError`."""
        number = text.removeprefix("fd://")
        if not (text.startswith("fd://") and number.isascii() and number.isdigit()):
            raise ValueError("must be fd:// and a file descriptor number, such as fd://3")
        return cls(int(number))

    def __str__(self) -> str:
        return f"fd://{self.fd}"


def host_name(written: str) -> str:
    """Return a host name in lower case and without a final dot. Raises `ValueError`."""
    name = written.lower().removesuffix(".")
    if not re.fullmatch(_HOST_NAME, name):
        raise ValueError(
            f"{written!r} must be a host name without scheme, port and wildcards, such as"
            " trouper.example; IP addresses need not be listed"
        )
    return name


def web_origin(written: str) -> str:
    """Return an origin as browsers write it in `Origin`. Raises `ValueError`."""
    if written in ("*", "null"):
        # Every page can put itself into a sandboxed frame, whose origin is `null`.
        raise ValueError(
            f"{written!r} would let every web page use this server, because requests are not"
            " authenticated yet; list the origin of each page"
        )
    match = _ORIGIN.fullmatch(written.lower())
    if match is None:
        raise ValueError(
            f"{written!r} must be scheme://host or scheme://host:port without a path or a final"
            " slash, such as https://app.example"
        )
    scheme, host, port = match.groups("")
    return f"{scheme}://{host}" + ("" if port == _DEFAULT_PORTS.get(scheme) else port)


def _content(path: Path) -> str:
    try:
        return path.expanduser().read_text("utf-8").strip()
    except (OSError, ValueError, RuntimeError):  # also text that isn't UTF-8, or an unknown ~user
        return ""


def route_named(written: object) -> Route:
    if isinstance(written, Route):
        return written
    provider, slash, model = written.partition("/") if isinstance(written, str) else ("", "", "")
    if not (provider and slash and model):
        raise ValueError("must be provider/upstream-model, such as openai/gpt-5.2")
    return Route(provider, model)


RouteName = Annotated[Route, PlainValidator(route_named), PlainSerializer(str)]
