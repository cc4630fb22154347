"""Builds the report of a run: medians and ratios, as a table and as JSON."""

import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from statistics import median

from msgspec import Struct

from bench.plan import Result
from bench.relays import AGAINST, RELAYS, YARDSTICKS
from bench.rows import ROWS, Row

_NOTHING = "n/a"
_PACKAGES = ("trio", "hypercorn", "httpx", "h11", "fastapi", "uvicorn", "uvloop", "httptools")


Cell = float | str | None
"""A figure, `never` if the event did not happen, `failed` if answers were incomplete, or None."""


class Paired(Struct, frozen=True):
    """The ratio of this checkout's figure to the other one's, taken round by round."""

    median: float
    low: float | None
    """Lower end of the 95 % interval of the median; None with fewer than 6 rounds."""
    high: float | None


class Report(Struct, kw_only=True):
    """The results of a run, in the format of the JSON file."""

    machine: dict[str, str]
    options: dict[str, str]
    medians: dict[str, dict[str, Cell]]
    """Median figures by row and relay."""
    ratios: dict[str, dict[str, dict[str, float | None]]]
    """Medians divided by a yardstick's, by row, yardstick and relay."""
    rounds: dict[str, dict[str, list[Cell]]]
    """Figures of all rounds by row and relay."""
    paired: dict[str, "Paired"]
    """This checkout compared with `--against`, by row; empty without that option."""
    tokens_per_frame: dict[str, float]
    """Tokens per SSE event by relay; above 1 if the relay merges deltas into fewer frames."""
    never_aborted: dict[str, int]
    """Upstream connections that stayed open for seconds after their client left, by relay."""
    drivers_busy: dict[str, dict[str, float]]
    """Highest share of one CPU used by load generator and upstream, by relay and load."""
    problems: dict[str, list[str]]
    """Problems by relay, one line each."""


Rounds = dict[str, list[dict[str, Result]]]
"""Results by relay, round and load."""


def build(rounds: Rounds, problems: dict[str, list[str]], options: dict[str, str]) -> Report:
    """Compute the medians over the rounds and their ratios."""
    figures = {row.key: {name: _figures(row, rounds[name]) for name in rounds} for row in ROWS}
    medians = {
        key: {name: _median(values) for name, values in by_relay.items()}
        for key, by_relay in figures.items()
    }
    return Report(
        machine=machine(),
        options=options,
        medians={
            key: {name: _cell(value) for name, value in by_relay.items()}
            for key, by_relay in medians.items()
        },
        ratios={
            key: {base: _ratios(base, by_relay) for base in YARDSTICKS}
            for key, by_relay in medians.items()
        },
        rounds={
            key: {name: [_cell(one) for one in values] for name, values in by_relay.items()}
            for key, by_relay in figures.items()
        },
        paired=_paired(figures),
        tokens_per_frame={name: _merging(rounds[name]) for name in rounds},
        never_aborted={name: _never(rounds[name]) for name in rounds},
        drivers_busy={name: _busy(rounds[name]) for name in rounds},
        problems=problems,
    )


def table(report: Report) -> str:
    """Format the report as a text table with one line per row."""
    names = [name for name in RELAYS if any(name in by for by in report.medians.values())]
    bases = [name for name in names if name in YARDSTICKS]
    pairs = [(n, base) for n in names if n not in (*YARDSTICKS, "direct") for base in bases]
    titles = ["", "", *names, *(f"{name} ÷ {base}" for name, base in pairs)]
    rows = [row for row in ROWS if any(report.rounds[row.key].values())]
    lines = [titles, *(_line(row, report, names, pairs) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(_aligned(line, widths) for line in lines)


def paired_table(report: Report) -> str:
    """Format the comparison with the other checkout, one line per row."""
    labels = {row.key: row.label for row in ROWS}
    lines = [["trouper ÷ against, paired", "median", "95 % from", "to"]]
    lines += [
        [labels[key], *(_ratio(value) for value in (p.median, p.low, p.high))]
        for key, p in report.paired.items()
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    return "\n".join(_aligned(line, widths) for line in lines)


def median_interval(count: int) -> int | None:
    """Return the rank k of a sorted sample of `count` so that k and its mirror enclose the median.

    The interval from the k-th smallest to the k-th largest value covers the median with at least
    95 %, whatever the distribution is (the sign test). None if even the extremes do not.
    """
    tail, rank = 0.0, 0
    while (tail := tail + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    return rank or None


def _paired(figures: dict[str, dict[str, list[float | None]]]) -> dict[str, Paired]:
    paired = {}
    for key, by_relay in figures.items():
        rounds = zip(by_relay.get("trouper", []), by_relay.get(AGAINST, []), strict=False)
        ratios = sorted(
            mine / other
            for mine, other in rounds
            if mine is not None and other and math.isfinite(mine) and math.isfinite(other)
        )
        if ratios:
            rank = median_interval(len(ratios))
            ends = (ratios[rank - 1], ratios[-rank]) if rank else (None, None)
            paired[key] = Paired(median(ratios), *ends)
    return paired


def machine() -> dict[str, str]:
    """Return the facts about this machine and the package versions."""
    facts = {
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
    return facts | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _figures(row: Row, rounds: list[dict[str, Result]]) -> list[float | None]:
    """Return a figure per round; NaN for a load with problems, which may have done less work."""
    loads = [results[row.load] for results in rounds if row.load in results]
    return [math.nan if load.problem_count else row.figure(load) for load in loads]


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    sound = [value for value in known if not math.isnan(value)]
    return median(sound or known) if known else None


def _cell(value: float | None) -> Cell:
    if value is None:
        return None
    if math.isfinite(value):
        return round(value, 4)
    return "failed" if math.isnan(value) else "never"


def _ratios(yardstick: str, by_relay: dict[str, float | None]) -> dict[str, float | None]:
    base = by_relay.get(yardstick)
    if not base or not math.isfinite(base):
        return dict.fromkeys(by_relay)
    finite = {name: value for name, value in by_relay.items() if value and math.isfinite(value)}
    return dict.fromkeys(by_relay) | {name: round(v / base, 4) for name, v in finite.items()}


def _merging(rounds: list[dict[str, Result]]) -> float:
    results = [result for results in rounds for result in results.values()]
    frames = sum(result.frames for result in results)
    return round(sum(result.all_chunks for result in results if result.frames) / max(frames, 1), 3)


def _never(rounds: list[dict[str, Result]]) -> int:
    return sum(result.never for results in rounds for result in results.values())


def _busy(rounds: list[dict[str, Result]]) -> dict[str, float]:
    shares: dict[str, float] = {}
    for results in rounds:
        for load, result in results.items():
            if result.wall_s:
                share = round(result.drivers_cpu_s / result.wall_s, 3)
                shares[load] = max(share, shares.get(load, 0.0))
    return shares


def _line(row: Row, report: Report, names: list[str], pairs: list[tuple[str, str]]) -> list[str]:
    medians, ratios = report.medians[row.key], report.ratios[row.key]
    figures = (_figure(medians.get(name)) for name in names)
    quotients = (_ratio(ratios[base].get(name)) for name, base in pairs)
    return [row.label, row.unit, *figures, *quotients]


def _figure(value: Cell) -> str:
    if isinstance(value, float):
        return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
    return value or _NOTHING


def _ratio(value: float | None) -> str:
    return _NOTHING if value is None else f"{value:.2f}"


def _aligned(line: list[str], widths: list[int]) -> str:
    first, *others = zip(line, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return "  ".join(cells).rstrip()
