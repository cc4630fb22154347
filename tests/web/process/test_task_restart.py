"""Background tasks of the server: a crash is reported, and the task restarted with backoff."""

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from actors.turn.store_records import StoreUnavailable
from tests.support.edge_harness import WebStore, composed
from web.config import load
from web.main import RECOVER_EVERY_S, SWEEP_EVERY_S, keep_recovering, keep_sweeping, recover_turns
from web.observability.metrics import Metrics
from web.process.startup import StartupRefused
from web.process.task_restart import FIRST_PAUSE_S, LONGEST_PAUSE_S, keep_running
from web.turns.planner import Planner


class Boom(Exception):
    pass


class Task:
    """A task that crashes after each of these lifetimes in seconds; records its starts."""

    def __init__(self, *lifetimes_s: float) -> None:
        self._lifetimes_s = list(lifetimes_s)
        self.started_at: list[float] = []

    async def run(self) -> None:
        self.started_at.append(trio.current_time())
        if not self._lifetimes_s:
            return
        await trio.sleep(self._lifetimes_s.pop(0))
        raise Boom

    @property
    def pauses(self) -> list[float]:
        starts = self.started_at
        return [round(b - a, 6) for a, b in pairwise(starts)]


def crashes(metrics: Metrics) -> float:
    return metrics.registry.get_sample_value("trouper_bugs_total", {"kind": "task_crashed"}) or 0


async def test_task_that_ends_is_not_restarted(autojump_clock: MockClock) -> None:
    task, metrics = Task(), Metrics()
    await keep_running("task", task.run, metrics)
    assert task.started_at == [0]
    assert crashes(metrics) == 0


async def test_crashed_task_is_reported_and_restarted(
    autojump_clock: MockClock,
) -> None:
    task, metrics = Task(0), Metrics()
    await keep_running("task", task.run, metrics)
    assert task.started_at == [0, FIRST_PAUSE_S]
    assert crashes(metrics) == 1


async def test_pauses_grow_up_to_a_limit(autojump_clock: MockClock) -> None:
    task = Task(*[0] * 9)
    await keep_running("task", task.run, Metrics())
    assert task.pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_PAUSE_S, *[LONGEST_PAUSE_S] * 2]


async def test_pause_is_reset_after_a_long_run(autojump_clock: MockClock) -> None:
    task = Task(0, 0, LONGEST_PAUSE_S + 1, 0)
    await keep_running("task", task.run, Metrics())
    assert task.pauses == [0.1, 0.2, LONGEST_PAUSE_S + 1 + 0.1, 0.2]


async def test_cancellation_propagates(autojump_clock: MockClock) -> None:
    metrics = Metrics()
    with trio.move_on_after(3) as scope:
        await keep_running("task", trio.sleep_forever, metrics)
    assert scope.cancelled_caught
    assert crashes(metrics) == 0


async def test_crash_during_a_cancellation_is_reported(autojump_clock: MockClock) -> None:
    async def crash_when_cancelled() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise Boom from None  # noqa: ASYNC104 (that is the bug)

    metrics = Metrics()
    with trio.move_on_after(1):
        await keep_running("task", crash_when_cancelled, metrics)
    assert crashes(metrics) == 1


class SweptStore(WebStore):
    """A store whose first sweep fails."""

    def __init__(self) -> None:
        super().__init__()
        self.swept_at: list[float] = []

    async def sweep(self, journal_retention_s: float) -> int:
        self.swept_at.append(trio.current_time())
        await trio.lowlevel.checkpoint()
        if len(self.swept_at) == 1:
            raise StoreUnavailable("locked")
        return 0


async def test_failed_sweep_is_retried_later(autojump_clock: MockClock) -> None:
    store = SweptStore()
    with trio.move_on_after(SWEEP_EVERY_S + 1):
        await keep_sweeping(store, 60.0)  # type: ignore[arg-type]  # it sweeps
    assert store.swept_at == [0, SWEEP_EVERY_S]


async def test_start_is_refused_if_turns_cannot_be_recovered(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = WebStore()

    async def refuse() -> list[object]:
        raise StoreUnavailable("database is locked")

    monkeypatch.setattr(store, "orphans", refuse)
    with pytest.raises(
        StartupRefused, match="database is locked; restart when the store is available"
    ) as caught:
        await recover_turns(composed(store), Planner(load()))
    assert "\n" not in str(caught.value)


async def test_orphaned_turns_are_recovered_while_serving(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = WebStore()
    asked_at: list[float] = []

    async def orphans() -> list[object]:
        asked_at.append(trio.current_time())
        if len(asked_at) == 1:
            raise StoreUnavailable("locked")
        return []

    monkeypatch.setattr(store, "orphans", orphans)
    with trio.move_on_after(2 * RECOVER_EVERY_S + 1):
        await keep_recovering(composed(store), Planner(load()))
    assert asked_at == [RECOVER_EVERY_S, 2 * RECOVER_EVERY_S]
