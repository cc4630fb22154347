"""Metrics and log lines about turns."""

import msgspec
from structlog.testing import capture_logs
from trio.testing import MockClock

from actors.run_turn import run_turn
from actors.runtime.event_bus import LocalEventBus
from actors.turn.event_order import OutOfOrder
from actors.turn.lifecycle_events import (
    ActorCrashed,
    EventDropped,
    RecordUnsaved,
    StoreRefusal,
    TurnEnded,
)
from actors.turn.outcome import Reason
from actors.turn.state import Turn
from actors.turn.store_records import FinalRecord, StoreUnavailable
from tests.support.turn_fakes import FOREVER, ScriptedProvider, TurnHarness, a_request, stop, text
from web.observability.metrics import Metrics


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def subscribed() -> tuple[Metrics, LocalEventBus]:
    """Return metrics and the bus whose events they count."""
    metrics, bus = Metrics(), LocalEventBus()
    metrics.subscribe_to(bus)
    return metrics, bus


async def run(harness: TurnHarness, turn: Turn | None = None) -> tuple[Turn, FinalRecord]:
    turn = turn or harness.turn()
    await run_turn(turn, harness.dependencies)
    return turn, harness.record


async def test_turn_is_counted_by_its_outcome(autojump_clock: MockClock) -> None:
    turn, record = await run(TurnHarness(ScriptedProvider(2.0, text("a"), stop())))
    metrics, bus = subscribed()
    with capture_logs() as logs:
        bus.publish(TurnEnded(record, "committed", 0.5))
    assert value(metrics, "trouper_turns_total", status="completed", reason="stop") == 1
    assert value(metrics, "trouper_final_records_total", stored="committed") == 1
    assert value(metrics, "trouper_finalise_seconds_sum") == 0.5
    assert value(metrics, "trouper_first_token_seconds_sum") == 2
    estimated = {"direction": "output", "source": "estimated"}
    assert value(metrics, "trouper_tokens_total", **estimated) == 1
    (line,) = logs
    assert (line["event"], line["turn"], line["status"]) == ("turn ended", turn.id, "completed")


async def test_disconnect_is_counted_by_its_stage(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), FOREVER))
    turn = harness.turn(a_request("main", total_s=5))
    turn.set_cause(Reason.CLIENT_DISCONNECTED)
    _, record = await run(harness, turn)
    metrics, bus = subscribed()
    bus.publish(TurnEnded(record, "committed", 0.0))
    assert value(metrics, "trouper_disconnects_total", stage="mid_stream") == 1


async def test_prompt_and_answer_are_not_logged(autojump_clock: MockClock) -> None:
    _, record = await run(TurnHarness(ScriptedProvider(text("the secret"), stop())))
    _, bus = subscribed()
    with capture_logs() as logs:
        bus.publish(TurnEnded(record, "committed", 0.0))
    assert len(logs) == 1
    assert "secret" not in str(logs)


async def test_unsaved_record_can_be_read_from_the_log(autojump_clock: MockClock) -> None:
    _, record = await run(TurnHarness(ScriptedProvider(text("a"), stop())))
    _, bus = subscribed()
    with capture_logs() as logs:
        bus.publish(RecordUnsaved(record))
    (line,) = logs
    assert line["log_level"] == "error"
    assert msgspec.json.decode(line["record"], type=FinalRecord) == record


def test_store_trouble_and_bugs_are_counted_separately() -> None:
    metrics, bus = subscribed()
    with capture_logs() as logs:
        bus.publish(StoreRefusal("turn_1", StoreUnavailable("locked")))
        bus.publish(EventDropped("turn_1", OutOfOrder("text before started")))
        bus.publish(ActorCrashed("turn_1", ValueError("bug")))
        metrics.task_crashed("heartbeat", ValueError("bug"))
    assert value(metrics, "trouper_store_trouble_total") == 1
    for kind in ("event_out_of_order", "actor_crashed", "task_crashed"):
        assert value(metrics, "trouper_bugs_total", kind=kind) == 1
    assert [line["log_level"] for line in logs] == ["warning", "error", "error", "error"]
