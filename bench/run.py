"""Runs the benchmark: `python -m bench.run`, or `make bench`.

Starts the mock upstream, starts each relay in every round, gives them equal loads, and prints
medians over the rounds with their ratios to the yardstick. All traffic is on the loopback
interface. All started processes are ended, also after Ctrl-C.
"""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from bench import proc
from bench.plan import Plan
from bench.processes import REPO, choose_cores
from bench.relays import AGAINST, RELAYS, installed
from bench.report import build, machine, paired_table, table
from bench.rounds import Bench
from bench.rows import growth, loads

_BUSY = 0.9
"""Share of one CPU above which latencies may be the load generator's own."""


def main() -> int:
    """Run the benchmark and return the exit code.

    0 if every relay served without loss, 1 if there were problems, 2 if nothing was measured, 130
    after Ctrl-C.
    """
    options = _options()
    if not proc.available():
        print("The benchmark reads /proc, which this system does not have.", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, _interrupt)
    with tempfile.TemporaryDirectory(prefix="trouper-bench-") as directory:
        return _bench(options, Path(directory))


def _bench(options: argparse.Namespace, directory: Path) -> int:
    plans = _plans(options)
    cores = None if options.no_pin else choose_cores()
    placement = str(cores) if cores else "not pinned to CPUs"
    print(*(f"{name} {value}" for name, value in machine().items()), sep=", ")
    print(f"{options.rounds} rounds; {placement}", flush=True)
    bench = Bench(plans, options.relays, cores, directory, options.against)
    try:
        bench.run(options.rounds)
    except KeyboardInterrupt:
        print("\ninterrupted; results so far:")
        _report(bench, options, placement)
        return 130
    return _report(bench, options, placement)


def _plans(options: argparse.Namespace) -> dict[str, Plan]:
    every = loads(quick=options.quick) | growth(quick=options.quick)
    if options.only:
        return {key: plan for key, plan in every.items() if key in ("warm_up", *options.only)}
    return every if options.growth else loads(quick=options.quick)


def _report(bench: Bench, options: argparse.Namespace, placement: str) -> int:
    run_options = {
        "rounds": str(options.rounds),
        "quick": str(options.quick),
        "placement": placement,
    }
    report = build(bench.rounds, bench.problems, run_options)
    print(f"\n{table(report)}\n")
    if report.paired:
        print(f"{paired_table(report)}\n")
    for name in report.problems:
        print(f"{name}: {RELAYS[name].about}; {_verdict(bench, name)}")
        if merged := report.tokens_per_frame[name] > 1.01 and report.tokens_per_frame[name]:
            print(f"  it merged tokens: {merged:g} per frame on average over all loads")
        if busy := [load for load, share in report.drivers_busy[name].items() if share > _BUSY]:
            print(f"  load generator and upstream were the bottleneck in: {', '.join(busy)}")
    path = options.json or REPO / "bench" / "results" / time.strftime("%Y%m%d-%H%M%S.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2))
    print(f"written: {path}")
    if not any(bench.rounds.values()):
        return 2
    return 1 if any(report.problems.values()) else 0


def _verdict(bench: Bench, name: str) -> str:
    problems = bench.problems[name]
    if problems:
        return f"{len(problems)} PROBLEMS, the first: {problems[0]}"
    return "every token accounted for" if any(bench.rounds[name]) else "not measured"


def _options() -> argparse.Namespace:
    every = [*loads(quick=True), *growth(quick=True)]
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, help="interleaved rounds (5, or 1 with --quick)")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument(
        "--growth", action="store_true", help="also run loads with 10 and 1,000 streams"
    )
    parser.add_argument(
        "--relays",
        type=_names(list(RELAYS)),
        help="relays to measure, e.g. yardstick,trouper (default: all that are installed)",
    )
    parser.add_argument(
        "--against",
        type=Path,
        help="another checkout to compare with, round by round; adds the relay `against`",
    )
    parser.add_argument("--only", type=_names(every), help="run only these loads")
    parser.add_argument("--no-pin", action="store_true", help="do not pin processes to CPUs")
    parser.add_argument(
        "--json", type=Path, help="file for the results (default: in bench/results/)"
    )
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.relays = options.relays or installed()
    if options.against:
        options.against = options.against.resolve()
        options.relays = list(dict.fromkeys([*options.relays, "trouper", AGAINST]))
    elif AGAINST in options.relays:
        parser.error(f"the relay {AGAINST!r} needs --against CHECKOUT")
    return options


def _names(known: list[str]) -> Callable[[str], list[str]]:
    def split(given: str) -> list[str]:
        names = given.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(
                f"{unknown[0]!r} is unknown; choose from {', '.join(known)}"
            )
        return names

    return split


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
