"""The sections of the configuration that stand alone. The docstrings are the reference's text."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    PlainValidator,
    model_validator,
)

from actors.outcome import Mode
from actors.timeouts import Timeouts
from web.config.address import Address, Inherited

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""A time in seconds that may be none at all."""
Count = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A table of the configuration: frozen, and closed to keys that nobody reads."""

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
    if not isinstance(written, str):
        raise ValueError("must be host:port, such as 127.0.0.1:8700 or [::1]:8700")
    if written.startswith("fd:"):
        return Inherited.parse(written)
    address = Address.parse(written)
    if not address.is_loopback:
        raise ValueError(
            f"{written} can be reached from other machines, and there are no API keys yet to say"
            " who may use it; bind 127.0.0.1, [::1] or localhost"
        )
    return address


Loopback = Annotated[Address | Inherited, PlainValidator(_address), PlainSerializer(str)]


def _lower(written: object) -> object:
    return written.lower() if isinstance(written, str) else written


class Server(Section):
    """The listener, and how it stops."""

    bind: Loopback = Address("127.0.0.1", 8700)
    """Address and port to listen on, or `fd://N` for an inherited socket. Only loopback addresses,
    as long as there are no API keys."""
    http2: bool = False
    """Speak HTTP/2 too: by ALPN under TLS, by prior knowledge without."""
    tls_cert: Path | None = None
    """PEM file of the certificate and its chain; with it the server speaks TLS only. SIGHUP has
    certificate and key read again."""
    tls_key: Path | None = None
    """PEM file of the certificate's key, unencrypted. Left out, the key is in `tls_cert`."""
    keep_alive_s: Seconds = 75.0
    """Seconds that a connection may stand idle before its first request and between two."""
    header_s: Seconds = 10.0
    """Seconds from the first byte of a request to the end of its head; then 408."""
    body_s: Seconds = 30.0
    """Seconds for a request's body, and one more for each 8 KiB of it; then 408."""
    grace_s: Pause = 1.0
    """After SIGTERM: seconds in which new turns get 503 before the listener closes."""
    drain_s: Pause = 30.0
    """After that: seconds that live turns have to end before they are cancelled and recorded."""

    @model_validator(mode="after")
    def _key_of_a_certificate(self) -> Self:
        if self.tls_key is not None and self.tls_cert is None:
            raise ValueError("tls_key is set and tls_cert is not; set both, or neither")
        return self


class Store(Section):
    """Where turns are kept."""

    url: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+]*://")] = "sqlite:///trouper.db"
    """SQLAlchemy URL of the database. A relative SQLite path starts at the working directory."""
    synchronous: Annotated[Literal["normal", "full"], BeforeValidator(_lower)] = "normal"
    """SQLite: what is committed survives a crash of the process (`normal`) or of the machine
    (`full`)."""
    spool_bytes: Count = 64 * 1024 * 1024
    """Size that the spool, the file for final records that the database cannot take, never
    exceeds."""


class Turns(Section):
    """What holds for every turn, unless its model says otherwise."""

    mode: Mode = Mode.ATTACHED
    """What the last client's leaving does: `attached` ends the turn at once, `linger` after
    `resume_window_s`, `background` never."""
    resume_window_s: Seconds = 30.0
    """`linger`: seconds in which a client may come back."""
    commit_after_s: Seconds = 5.0
    """Seconds after which a streamed response begins with status 200 although no route has
    answered yet."""
    heartbeat_s: Seconds = 15.0
    """Seconds without data after which a stream gets a comment line, and between the pings of a
    WebSocket."""
    finalise_timeout_s: Seconds = 5.0
    """Seconds that the database has for a final record before the record goes to the spool."""
    max_answer_bytes: Count = 2 * 1024 * 1024
    """Bytes of text, reasoning and tool calls after which a turn ends as `size_limit`."""


class Limits(Section):
    """How much is taken on at once."""

    concurrent_turns: Count = 2000
    """Live turns; one more is refused with 503 and `Retry-After`."""
    connections: Count = 10_000
    """Open connections; one more is refused with 503 and `Retry-After`."""
    body_bytes: Count = 20 * 1024 * 1024
    """Size of a request's body; a larger one is refused with 413. So large may also be a message on
    a WebSocket; a larger one closes it with 1009. No more than this is read of a stored history."""
    write_stall_s: Seconds = 30.0
    """Seconds without progress in writing to a client after which it counts as gone."""
    reader_lag_bytes: Count = 256 * 1024
    """Bytes that a reader may lag behind its stream at any speed."""
    reader_bytes_per_s: Count = 4096
    """Speed that a reader must keep while it lags further; a slower one counts as gone."""


class Breaker(Section):
    """When a route that fails is left alone, and for how long."""

    failures: Count = 3
    """Failures within `window_s` after which a route is not asked any more."""
    window_s: Seconds = 60.0
    """Seconds for which a failure counts."""
    cooldown_s: Seconds = 60.0
    """Seconds after which one request tries the route again."""
    cooldown_max_s: Seconds = 900.0
    """Each failed trial doubles the wait for the next one, up to these seconds."""

    @model_validator(mode="after")
    def _cooldowns_grow(self) -> Self:
        if self.cooldown_max_s < self.cooldown_s:
            raise ValueError("cooldown_max_s is less than cooldown_s; it is the longest cooldown")
        return self


class Journal(Section):
    """How the events of a turn are kept, so that it can be resumed."""

    flush_ms: Count = 250
    """Milliseconds after which new events are written; a crash loses at most these."""
    flush_bytes: Count = 64 * 1024
    """Bytes of new events that are written without waiting for `flush_ms`."""
    retention_s: Count = 86_400
    """Seconds for which an ended turn can be resumed; afterwards only its text and row remain."""


class Logs(Section):
    """What is written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least serious level that is written."""


class TimeoutSettings(Section):
    """The five clocks of a turn; also under a provider, and under a model, which wins."""

    connect_s: Seconds = Timeouts().connect_s
    """Seconds for TCP and TLS set-up."""
    first_byte_s: Seconds = Timeouts().first_byte_s
    """Seconds from the start of an attempt, connecting included, to the head of its response."""
    first_token_s: Seconds = Timeouts().first_token_s
    """Seconds from the head of the response to its first content."""
    idle_s: Seconds = Timeouts().idle_s
    """Seconds without content, or another part of the answer, after that."""
    total_s: Seconds = Timeouts().total_s
    """Seconds for the whole turn, all attempts together; at half of it clients get a warning.
    Of the providers it is that of the first route that counts."""


class TimeoutOverrides(Section):
    """The clocks that differ here; those left out are inherited."""

    connect_s: Seconds | None = None
    """As in `[timeouts]`."""
    first_byte_s: Seconds | None = None
    """As in `[timeouts]`."""
    first_token_s: Seconds | None = None
    """As in `[timeouts]`."""
    idle_s: Seconds | None = None
    """As in `[timeouts]`."""
    total_s: Seconds | None = None
    """As in `[timeouts]`."""
