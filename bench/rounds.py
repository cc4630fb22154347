"""Runs interleaved rounds: each round starts every relay and gives it every load."""

import time
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bench.journal import Journal, JournalUnreadable
from bench.plan import Plan, Result
from bench.processes import Child, Cores, DidNotStart, Failed, free_port, python
from bench.relays import RELAYS, Relay, Setup
from bench.report import Rounds

_SLACK_S = 60.0
"""Extra time for a load, in seconds, to start and to wait for the witness."""
_NEEDS_A_RELAY = ("warm_up", "hold", "hold_100", "paced", "paced_10", "paced_1000", "flooded")


class Bench:
    """One run: its plans, relays and the results so far."""

    def __init__(
        self,
        plans: dict[str, Plan],
        relays: list[str],
        cores: Cores | None,
        directory: Path,
        against: Path | None = None,
    ) -> None:
        self._plans = plans
        self._directory = directory
        self._against = against
        self._relay_cores = cores.relay if cores else None
        self._drivers = cores.drivers if cores else None
        self.rounds: Rounds = {name: [] for name in relays}
        self.problems: dict[str, list[str]] = {name: [] for name in relays}
        self._broken: set[str] = set()

    def run(self, rounds: int) -> None:
        """Run all rounds. A relay that does not start is left out of later rounds."""
        command, log = python("-m", "bench.upstream"), self._directory / "upstream.log"
        with Child(command, log, cores=self._drivers, piped=True) as upstream:
            port = int(upstream.read_line())
            self._plans = {k: replace(p, upstream_pid=upstream.pid) for k, p in self._plans.items()}
            for number in range(1, rounds + 1):
                for name in [name for name in self.rounds if name not in self._broken]:
                    print(f"round {number}: {name}", flush=True)
                    self._round(RELAYS[name], number, port)

    def _round(self, relay: Relay, number: int, upstream_port: int) -> None:
        directory = self._directory / f"{relay.name}-{number}"
        directory.mkdir()
        setup = Setup(
            port=free_port(),
            upstream_port=upstream_port,
            directory=directory,
            against=self._against,
        )
        try:
            if relay.command is None:
                self._direct(relay, upstream_port)
            else:
                self._through(relay, setup)
        except DidNotStart as error:
            self._broken.add(relay.name)
            self._note(relay, "start", [f"did not start: {error}"])

    def _direct(self, relay: Relay, port: int) -> None:
        results: dict[str, Result] = {}
        self.rounds[relay.name].append(results)
        for key, plan in self._plans.items():
            if key not in _NEEDS_A_RELAY:
                self._load(relay, key, replace(plan, port=port, upstream_port=port), results)

    def _through(self, relay: Relay, setup: Setup) -> None:
        assert relay.command is not None
        command, log = relay.command(setup), setup.directory / "log"
        with Child(command, log, cores=self._relay_cores, cwd=setup.directory) as child:
            child.wait_for_http(setup.port, relay.ready, relay.patience_s)
            results: dict[str, Result] = {}
            self.rounds[relay.name].append(results)
            for key, plan in self._plans.items():
                self._load(relay, key, _aimed(plan, relay, setup, child.pid), results)
                if exit_reason := child.ended():
                    self._note(relay, key, [f"the relay ended: {exit_reason}"])
                    return
                if relay.journal and key in results:
                    self._check(relay, key, setup.port, results)
                time.sleep(plan.rest_s)
            if relay.journal:
                self._count(relay, setup.port, results)

    def _load(self, relay: Relay, key: str, plan: Plan, results: dict[str, Result]) -> None:
        command = python("-m", "bench.load", msgspec.json.encode(plan).decode())
        with Child(command, self._directory / "load.log", cores=self._drivers, piped=True) as child:
            try:
                output = child.output(plan.limit_s + _SLACK_S)
            except Failed as error:
                self._note(relay, key, [f"the load generator failed: {error}"])
                return
        result = results[key] = msgspec.json.decode(output, type=Result)
        self._note(relay, key, result.problems)
        if result.problem_count > len(result.problems):
            self._note(relay, key, [f"{result.problem_count} in all"])

    def _check(self, relay: Relay, key: str, port: int, results: dict[str, Result]) -> None:
        with Journal(port) as journal:
            try:
                problems = journal.problems(results[key].samples)
            except JournalUnreadable as error:
                problems = [str(error)]
        self._note(relay, key, problems)

    def _count(self, relay: Relay, port: int, results: dict[str, Result]) -> None:
        request_count = sum(result.requests for result in results.values())
        with Journal(port) as journal:
            try:
                problems = journal.count_problems(request_count)
            except JournalUnreadable as error:
                problems = [str(error)]
        self._note(relay, "all loads", problems)

    def _note(self, relay: Relay, key: str, problems: list[str]) -> None:
        for problem in problems:
            self.problems[relay.name].append(f"{key}: {problem}")
            print(f"  PROBLEM in {relay.name}, {key}: {problem}", flush=True)


def _aimed(plan: Plan, relay: Relay, setup: Setup, pid: int) -> Plan:
    return replace(
        plan,
        port=setup.port,
        upstream_port=setup.upstream_port,
        prefix=relay.prefix,
        surface=relay.surface,
        pid=pid,
    )
