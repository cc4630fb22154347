"""Sections of the configuration with fixed names.

The attribute docstrings are also the texts of `docs/reference/configuration.md`.
"""

from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from actors.routing.breaker import BreakerSettings
from actors.turn.outcome import Mode
from actors.turn.request import Timeouts
from web.config.field_types import Address, Inherited, host_name, web_origin

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A duration in seconds that may be zero."""
Count = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A table of the configuration: frozen, and without unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        validate_default=True,
        hide_input_in_errors=True,
    )


def _address(written: object) -> Address | Inherited:
    if isinstance(written, Address | Inherited):
        return written
    text = written if isinstance(written, str) else ""
    if text.startswith("fd:"):
        return Inherited.parse(text)
    address = Address.parse(text)
    if not address.is_loopback:
        raise ValueError(
            f"{written} can be reached from other machines, but requests are not authenticated"
            " yet; bind 127.0.0.1, [::1] or localhost"
        )
    return address


Loopback = Annotated[Address | Inherited, PlainValidator(_address), PlainSerializer(str)]


def _store_url(text: str) -> str:
    try:
        urlsplit(text)
    except ValueError:
        raise ValueError("must be a URL, such as sqlite:///trouper.db") from None
    return text


def _lower(written: object) -> object:
    return written.lower() if isinstance(written, str) else written


class Server(Section):
    """The listener and its shutdown."""

    bind: Loopback = Address("127.0.0.1", 8700)
    """Address and port to listen on, or `fd://N` for an inherited socket. Only loopback addresses
    are allowed, because requests are not authenticated yet."""
    hosts: tuple[Annotated[str, AfterValidator(host_name)], ...] = ()
    """Host names, without ports, that clients use for this server. IP addresses, `localhost` and
    names that end in `.localhost` need not be listed. Any other `Host` gets 421."""
    http2: bool = False
    """Serve HTTP/2 too: negotiated by ALPN with TLS, by prior knowledge without."""
    tls_cert: Path | None = None
    """PEM file of the certificate and its chain; turns TLS on. SIGHUP reloads certificate and
    key."""
    tls_key: Path | None = None
    """PEM file of the certificate's unencrypted key. Default: the key is in `tls_cert`."""
    keep_alive_s: Seconds = 75.0
    """Seconds that a connection may be idle before its first request and between requests."""
    header_s: Seconds = 10.0
    """Seconds from the first byte of a request to the end of its headers; then 408."""
    body_s: Seconds = 30.0
    """Seconds to receive a request's body or the rest of a WebSocket message, plus one for each
    8 KiB received, at most four times as long in all; then 408, or close code 1008."""
    grace_s: Pause = 1.0
    """Seconds after SIGTERM in which new turns get 503 before the listener closes."""
    drain_s: Pause = 30.0
    """Seconds after `grace_s` in which live turns may end before they are cancelled and
    recorded."""

    @model_validator(mode="after")
    def _check_key_has_certificate(self) -> Self:
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key is set, but tls_cert is not; set both or neither")
        return self


class Cors(Section):
    """Web pages that may use the server from a browser."""

    origins: tuple[Annotated[str, AfterValidator(web_origin)], ...] = ()
    """Origins of the pages, such as `https://app.example:8443`. Pages of any other origin get
    403."""


class Store(Section):
    """The database for turns."""

    url: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+]*://"), AfterValidator(_store_url)] = (
        "sqlite:///trouper.db"
    )
    """SQLAlchemy URL of the database. A relative SQLite path is relative to the working
    directory."""
    synchronous: Annotated[Literal["normal", "full"], BeforeValidator(_lower)] = "normal"
    """SQLite's durability: commits survive a crash of the process (`normal`) or of the machine
    (`full`)."""
    spool_bytes: Count = 64 * 1024 * 1024
    """Maximum size in bytes of the spool, the file for final records that the database does not
    accept."""


class Turns(Section):
    """Defaults for turns; a model can override `mode` and `resume_window_s`."""

    mode: Mode = Mode.ATTACHED
    """Effect of the last client's disconnect: `attached` ends the turn at once, `linger` after
    `resume_window_s`, `background` never."""
    resume_window_s: Seconds = 30.0
    """Seconds in which a client can return to a turn in mode `linger`."""
    commit_after_s: Seconds = 5.0
    """Seconds after which a streamed response starts with status 200 even if no route has
    answered yet."""
    heartbeat_s: Seconds = 15.0
    """Seconds without data after which a stream gets a comment line; also the interval of
    WebSocket pings."""
    finalise_timeout_s: Seconds = 5.0
    """Seconds that the database has to store a final record before it goes to the spool."""
    max_answer_bytes: Count = 2 * 1024 * 1024
    """Bytes of text, reasoning and tool calls after which a turn ends with reason `size_limit`."""


class Limits(Section):
    """Limits on concurrency, sizes and slow clients."""

    concurrent_turns: Count = 2000
    """Maximum number of live turns; further ones get 503 with `Retry-After`."""
    connections: Count = 10_000
    """Maximum number of open connections; further ones get 503 with `Retry-After`."""
    body_bytes: Count = 20 * 1024 * 1024
    """Maximum size in bytes of a request's body (else 413), of a WebSocket message (else close
    code 1009), and of the stored history that is read for a request."""
    receive_bytes: Count = 256 * 1024 * 1024
    """Maximum bytes of bodies, messages and frames that all connections together are receiving, at
    least three times `body_bytes`. If it is reached, the slowest large body gets 503 with
    `Retry-After` (a WebSocket close code 1013)."""
    write_stall_s: Seconds = 30.0
    """Seconds without progress of a write after which the client counts as disconnected."""
    reader_lag_bytes: Count = 256 * 1024
    """Bytes that a reader may lag behind its stream at any speed."""
    reader_bytes_per_s: Count = 4096
    """Minimum speed, in bytes per second, of a reader that lags more than `reader_lag_bytes`; a
    slower one is disconnected."""

    @model_validator(mode="after")
    def _check_receive_bytes(self) -> Self:
        # A compressed body counts twice, and large bodies have three quarters of the budget.
        if self.receive_bytes < 3 * self.body_bytes:
            raise ValueError(
                "receive_bytes is less than three times body_bytes, so large bodies would be"
                f" refused; set it to at least {3 * self.body_bytes}"
            )
        return self


class Breaker(Section):
    """The circuit breaker of each route."""

    failure_share: Annotated[float, Field(gt=0, le=1)] = BreakerSettings().failure_share
    """Share of a route's calls within `window_s` whose failure opens its breaker; so do 4
    times `minimum_requests` failures in a row."""
    minimum_requests: Count = BreakerSettings().minimum_requests
    """Calls within `window_s` below which the breaker does not open."""
    window_s: Seconds = BreakerSettings().window_s
    """Seconds for which a call counts."""
    cooldown_s: Seconds = BreakerSettings().cooldown_s
    """Seconds after which one request tries the route again, if the model has another route. If it
    has none, one request tries it every second."""
    cooldown_max_s: Seconds = BreakerSettings().cooldown_max_s
    """Maximum cooldown in seconds; each failed trial doubles the cooldown up to this."""

    @model_validator(mode="after")
    def _check_cooldowns(self) -> Self:
        if self.cooldown_max_s < self.cooldown_s:
            raise ValueError(
                f"cooldown_max_s is less than cooldown_s; set it to at least {self.cooldown_s:g}"
            )
        return self


class Journal(Section):
    """The stored events of turns, from which clients resume."""

    flush_ms: Count = 250
    """Milliseconds after which new events are written; a crash loses at most these events."""
    flush_bytes: Count = 64 * 1024
    """Bytes of new events after which they are written without waiting for `flush_ms`."""
    retention_s: Count = 86_400
    """Seconds for which an ended turn can be resumed; afterwards only its text and row remain."""


class Logs(Section):
    """The logs, which go to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""


class TimeoutSettings(Section):
    """The timeouts of a turn; a provider overrides them, and a model overrides both.

    Comments, pings and empty frames restart `first_token_s`, `idle_s` and `after_finish_s`.
    """

    connect_s: Seconds = Timeouts().connect_s
    """Seconds to establish TCP and TLS."""
    first_byte_s: Seconds = Timeouts().first_byte_s
    """Seconds from the start of an attempt, connecting included, to the response's headers."""
    first_token_s: Seconds | None = None
    """Seconds from the response's headers to its first content. Default: 300 for routes that can
    reason, since many servers are silent while the model thinks, and 30 for others."""
    idle_s: Seconds | None = None
    """Seconds between two parts of the answer after the first content. Default: as for
    `first_token_s`."""
    after_finish_s: Seconds = Timeouts().after_finish_s
    """Seconds without data after a finish reason, after which an answer is complete even if its
    stream has not ended."""
    total_s: Seconds = Timeouts().total_s
    """Seconds for the whole turn with all its attempts; after half of it clients get a warning.
    If providers differ, the first route's provider decides."""


class TimeoutOverrides(Section):
    """Timeouts that differ from the general ones; those left out are inherited."""

    connect_s: Seconds | None = None
    """Overrides `timeouts.connect_s`."""
    first_byte_s: Seconds | None = None
    """Overrides `timeouts.first_byte_s`."""
    first_token_s: Seconds | None = None
    """Overrides `timeouts.first_token_s`."""
    idle_s: Seconds | None = None
    """Overrides `timeouts.idle_s`."""
    after_finish_s: Seconds | None = None
    """Overrides `timeouts.after_finish_s`."""
    total_s: Seconds | None = None
    """Overrides `timeouts.total_s`."""
