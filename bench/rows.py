"""Definitions of the loads of a round, and of the table rows computed from their results."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from bench.plan import Plan, Result
from bench.spec import Spec

Figure = Callable[[Result], float | None]
Percentile = Callable[[float, Result], float | None]
_SHORT = Spec(chunks=20, delay=1)
_LONG = Spec(chunks=500, delay=200)
_IDLE_EXPIRY_S = 6.0
"""Pause in seconds, longer than httpx keeps an idle connection (5 s)."""
_NEVER_MS = 4000
"""Upstream delay that is long enough for the client to leave before any response."""


class Row(Struct, frozen=True):
    """One line of the table."""

    key: str
    label: str
    unit: str
    load: str
    """Name of the load whose result the row shows."""
    figure: Figure


def loads(*, quick: bool) -> dict[str, Plan]:
    """Return the loads of a round by name, in order; the first warms up the relay.

    Memory is measured early, while the heap is small. A connection pool may search all its idle
    connections at each request, so loads that leave many are followed by a pause. `short_after`
    follows without a pause and shows this cost.
    """
    window = 3.0 if quick else 8.0
    share = 3 if quick else 1
    short = Plan(kind="closed", spec=_SHORT, total=300 // share, at_once=10)
    fresh = replace(short, keep_alive=False)
    leave = Plan(kind="aborts", spec=_SHORT, total=100 // share, at_once=5)
    finish = Plan(
        kind="closed", spec=Spec(chunks=1), total=1200 // share, at_once=50, rest_s=_IDLE_EXPIRY_S
    )
    return {
        "warm_up": replace(short, total=30),
        "hold": Plan(
            kind="hold",
            spec=Spec(chunks=120, delay=1000),
            total=1000,
            at_once=25,
            window_s=2.0,
            patience_s=10.0,
        ),
        "short": short,
        "short_fresh": fresh,
        "ttft_1": replace(fresh, total=60 // share, at_once=1),
        "ttft_100": replace(fresh, total=500 // share, at_once=100, rest_s=_IDLE_EXPIRY_S),
        "leave_before_head": replace(leave, spec=Spec(head=_NEVER_MS)),
        "leave_after_head": replace(leave, spec=Spec(first=_NEVER_MS)),
        "leave_mid_stream": replace(leave, spec=Spec(chunks=500, delay=20)),
        "leave_whole": replace(leave, spec=Spec(head=_NEVER_MS), stream=False),
        "finish": finish,
        "paced": _paced(100, window),
        "short_after": short,
        "flooded": Plan(kind="closed", spec=Spec(chunks=9000 // share), total=20, at_once=20),
    }


def growth(*, quick: bool) -> dict[str, Plan]:
    """Return loads with 10 to 1,000 streams that show how costs grow with their number."""
    window = 3.0 if quick else 8.0
    base = loads(quick=quick)
    return {
        "paced_10": _paced(10, window),
        "paced_1000": _paced(1000, window, delay=200),
        "hold_100": replace(base["hold"], total=100, rest_s=_IDLE_EXPIRY_S),
        "short_1000": _crowd(base["short_fresh"]),
        "leave_10": replace(base["leave_mid_stream"], at_once=10),
        "leave_1000": _crowd(replace(base["leave_mid_stream"], spec=_LONG)),
        "finish_10": replace(base["finish"], at_once=10),
        "finish_1000": _crowd(base["finish"]),
    }


def _crowd(plan: Plan) -> Plan:
    return replace(plan, total=1000, at_once=1000, rest_s=_IDLE_EXPIRY_S, limit_s=120.0)


def _paced(streams: int, window_s: float, *, delay: int = 20) -> Plan:
    # The streams must outlast the measurement, and a slow relay needs 20 ms to open each.
    lasting_s = window_s + 4.0 + streams * 0.02
    spec = Spec(chunks=int(lasting_s * 1000 / delay), delay=delay)
    return Plan(
        kind="steady", spec=spec, total=streams, at_once=streams, window_s=window_s, limit_s=90.0
    )


def percentile(values: list[float], percent: float) -> float | None:
    """Return the nearest-rank percentile, or None if there are no values."""
    if not values:
        return None
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def cpu_us_per_chunk(result: Result) -> float | None:
    """Return the relay's CPU time per token that reached a client, in microseconds."""
    return None if result.cpu_s is None else result.cpu_s * 1e6 / max(result.chunks, 1)


def cpu_ms_per_request(result: Result) -> float | None:
    """Return the relay's CPU time per request, in milliseconds."""
    return None if result.cpu_s is None else result.cpu_s * 1e3 / max(result.requests, 1)


def _per_second(result: Result) -> float | None:
    return result.requests / result.wall_s


def _kib_per_stream(result: Result) -> float | None:
    if result.rss_open_kib is None or result.rss_idle_kib is None:
        return None
    return (result.rss_open_kib - result.rss_idle_kib) / result.requests


def _ttft(percent: float, result: Result) -> float | None:
    return percentile(result.ttft_ms, percent)


def _left(percent: float, result: Result) -> float | None:
    """Return the abort latency; aborts that the upstream never saw count as infinite."""
    return percentile(result.abort_ms + [float("inf")] * result.never, percent)


def _pair(
    key: str, label: str, load: str, figure: Callable[[float, Result], float | None]
) -> list[Row]:
    return [
        Row(f"{key}_p{percent}", f"{label}, p{percent}", "ms", load, partial(figure, percent))
        for percent in (50, 99)
    ]


ROWS = [
    Row("paced_us", "CPU per chunk, 100 streams at 20 ms", "µs", "paced", cpu_us_per_chunk),
    Row("paced_10_us", "CPU per chunk, 10 streams at 20 ms", "µs", "paced_10", cpu_us_per_chunk),
    Row(
        "paced_1000_us",
        "CPU per chunk, 1,000 streams at 200 ms",
        "µs",
        "paced_1000",
        cpu_us_per_chunk,
    ),
    Row("flooded_us", "CPU per chunk, 20 streams flooded", "µs", "flooded", cpu_us_per_chunk),
    Row("short_ms", "CPU per short request, keep-alive", "ms", "short", cpu_ms_per_request),
    Row(
        "short_fresh_ms",
        "CPU per short request, no keep-alive",
        "ms",
        "short_fresh",
        cpu_ms_per_request,
    ),
    Row(
        "after_ms",
        "CPU per short request, after 100 streams",
        "ms",
        "short_after",
        cpu_ms_per_request,
    ),
    *_pair("ttft_1", "time to first token, 1 at a time", "ttft_1", _ttft),
    *_pair("ttft_10", "time to first token, 10 at a time", "short_fresh", _ttft),
    *_pair("ttft_after", "time to first token, after 100 streams", "short_after", _ttft),
    *_pair("ttft_100", "time to first token, 100 at a time", "ttft_100", _ttft),
    *_pair("leave_before_head", "abort before upstream's headers", "leave_before_head", _left),
    *_pair("leave_after_head", "abort after headers, before a token", "leave_after_head", _left),
    *_pair("leave_mid_stream", "abort mid-stream", "leave_mid_stream", _left),
    *_pair("leave_whole", "abort of a non-streaming call", "leave_whole", _left),
    Row("hold_kib", "resident per open stream, 1,000 streams", "KiB", "hold", _kib_per_stream),
    Row(
        "hold_100_kib", "resident per open stream, 100 streams", "KiB", "hold_100", _kib_per_stream
    ),
    Row(
        "short_1000_ms",
        "CPU per short request, 1,000 at a time",
        "ms",
        "short_1000",
        cpu_ms_per_request,
    ),
    *_pair("ttft_1000", "time to first token, 1,000 at a time", "short_1000", _ttft),
    *_pair("leave_10", "abort mid-stream, 10 at a time", "leave_10", _left),
    *_pair("leave_1000", "abort mid-stream, 1,000 at a time", "leave_1000", _left),
    Row(
        "finish_10_s", "one-token requests finished, 10 at a time", "1/s", "finish_10", _per_second
    ),
    Row(
        "finish_1000_s",
        "one-token requests finished, 1,000 at a time",
        "1/s",
        "finish_1000",
        _per_second,
    ),
    Row("finish_s", "one-token requests finished", "1/s", "finish", _per_second),
]
