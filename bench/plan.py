"""What the load generator is asked to do, and what it answers: JSON between processes."""

from typing import Literal

from msgspec import Struct, field

from bench.spec import Spec
from bench.surfaces import Name


class Plan(Struct, kw_only=True, frozen=True):
    """One load. Everything in it is bounded by `limit_s`."""

    kind: Literal["closed", "steady", "hold", "aborts"]
    spec: Spec
    port: int = 0
    upstream_port: int = 0
    prefix: str = ""
    """What the relay wants before the upstream's model name."""
    pid: int | None = None
    """The relay's process; None where there is none to measure."""
    upstream_pid: int | None = None
    surface: Name = "chat"
    stream: bool = True
    total: int = 1
    """Requests in all."""
    at_once: int = 1
    """Requests in flight."""
    keep_alive: bool = True
    window_s: float = 0.0
    """How long to measure (`steady`), or to settle before measuring (`hold`)."""
    patience_s: float = 2.0
    """How long the witness waits for an upstream connection to close (`aborts`)."""
    limit_s: float = 60.0
    rest_s: float = 0.0
    """Pause after it, in which the relay may forget its idle upstream connections."""


class Sample(Struct, kw_only=True, frozen=True):
    """One call, for comparison with a relay's journal."""

    turn_id: str
    spec: Spec
    whole: bool
    """The client read it to its end; else it hung up."""
    received: int
    """Bytes of text that the client had."""
    sent: int | None = None
    """Tokens that the upstream had sent, where the client hung up."""


class Result(Struct, kw_only=True):
    """What a load measured."""

    requests: int = 0
    problems: list[str] = field(default_factory=list)
    """One line per call that went wrong, at most a few."""
    problem_count: int = 0
    chunks: int = 0
    """Tokens received while measuring."""
    frames: int = 0
    """SSE events received, over the whole load, …"""
    all_chunks: int = 0
    """… and tokens."""
    wall_s: float = 0.0
    cpu_s: float | None = None
    """CPU time of the relay while measuring."""
    drivers_cpu_s: float = 0.0
    """CPU time of load generator and upstream while measuring."""
    ttft_ms: list[float] = field(default_factory=list)
    abort_ms: list[float] = field(default_factory=list)
    never: int = 0
    """Upstream connections that were still open `patience_s` after the client had left."""
    rss_idle_kib: int | None = None
    rss_open_kib: int | None = None
    samples: list[Sample] = field(default_factory=list)
