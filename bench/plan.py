"""Messages to and from the load generator, sent as JSON: a plan, and the measured result."""

from typing import Literal

from msgspec import Struct, field

from bench.spec import Spec
from bench.surfaces import Name


class Plan(Struct, kw_only=True, frozen=True):
    """One load, which takes at most `limit_s`."""

    kind: Literal["closed", "steady", "hold", "aborts"]
    spec: Spec
    port: int = 0
    upstream_port: int = 0
    prefix: str = ""
    """Prefix of the upstream's model name that the relay requires."""
    pid: int | None = None
    """Process id of the relay; None if there is none to measure."""
    upstream_pid: int | None = None
    surface: Name = "chat"
    stream: bool = True
    total: int = 1
    """Total number of requests."""
    at_once: int = 1
    """Number of requests in flight."""
    keep_alive: bool = True
    window_s: float = 0.0
    """Duration of the measurement (`steady`), or of the wait before it (`hold`)."""
    patience_s: float = 2.0
    """Time within which an upstream connection should close (`aborts`, `hold`)."""
    limit_s: float = 60.0
    rest_s: float = 0.0
    """Pause after the load, in which the relay may close idle upstream connections."""


class Sample(Struct, kw_only=True, frozen=True):
    """One call, for comparison with the relay's stored turn."""

    turn_id: str
    spec: Spec
    whole: bool
    """True if the client read the complete answer; False if it disconnected."""
    received: int
    """Bytes of text that the client received."""
    sent: int | None = None
    """Tokens that the upstream had sent when the client disconnected."""


class Result(Struct, kw_only=True):
    """The measurements of one load."""

    requests: int = 0
    problems: list[str] = field(default_factory=list)
    """One line for each of the first few failed calls."""
    problem_count: int = 0
    chunks: int = 0
    """Tokens received during the measurement."""
    frames: int = 0
    """SSE events received during the whole load."""
    all_chunks: int = 0
    """Tokens received during the whole load."""
    wall_s: float = 0.0
    cpu_s: float | None = None
    """CPU time of the relay during the measurement."""
    drivers_cpu_s: float = 0.0
    """CPU time of load generator and upstream during the measurement."""
    ttft_ms: list[float] = field(default_factory=list)
    abort_ms: list[float] = field(default_factory=list)
    never: int = 0
    """Upstream connections still open `patience_s` after their client disconnected."""
    rss_idle_kib: int | None = None
    rss_open_kib: int | None = None
    samples: list[Sample] = field(default_factory=list)
