"""The JSON of a turn, live and ended."""

import msgspec
import trio
from trio.testing import MockClock

from actors.run_turn import run_turn
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason
from tests.support.edge_harness import ended_turn_view
from tests.support.turn_fakes import ScriptedProvider, TurnHarness, a_request, stop, text
from web.turns.turn_json import LISTED_TEXT, listed_turn, live_turn, stored_turn


def as_json(described: dict[str, object]) -> dict[str, object]:
    return msgspec.json.decode(msgspec.json.encode(described))  # type: ignore[no-any-return]


async def test_turn_that_has_not_started(autojump_clock: MockClock) -> None:
    turn = TurnHarness(ScriptedProvider()).turn()
    described = as_json(live_turn(turn))
    assert described["status"] == "in_progress"
    assert described["mode"] == "background"
    assert described["model"] == "large"
    for unknown in ("reason", "provider", "usage", "last_event", "ended_at", "stored", "error"):
        assert described[unknown] is None
    assert (described["text"], described["cost_micros"]) == ("", 0)


async def test_failed_turn_has_the_same_error_live_and_stored(autojump_clock: MockClock) -> None:
    failure = UpstreamFailure(FailureKind.SERVER_ERROR, "overloaded", status=503, retry_after_s=4)
    harness = TurnHarness(ScriptedProvider(head=failure))
    turn = harness.turn()
    await run_turn(turn, harness.dependencies)
    live = as_json(live_turn(turn))
    stored = as_json(stored_turn(ended_turn_view(harness.record)))
    assert live["error"] == stored["error"]
    assert live["error"] == {
        "status": 503,
        "message": "overloaded. Tried: main/main-model: server error 503, 2 times. Retry later.",
        "code": "server_error",
        "retry_after_s": 4.0,
    }
    assert live["reason"] == stored["reason"] == Reason.UPSTREAM_ERROR.value
    assert live["usage"] is None
    assert stored["usage"] is None


async def test_cancelled_turn_has_the_same_error_live_and_stored(
    autojump_clock: MockClock,
) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), 5.0, stop()))
    turn = harness.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, harness.dependencies)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    live = as_json(live_turn(turn))
    assert live["error"] == as_json(stored_turn(ended_turn_view(harness.record)))["error"]
    assert live["error"] == {
        "status": 499,
        "message": "The turn was cancelled on request.",
        "code": "cancel_requested",
        "type": "server_error",
    }


async def test_attempts_are_listed_one_by_one(autojump_clock: MockClock) -> None:
    refused = UpstreamFailure(FailureKind.REFUSED, "no connection")
    harness = TurnHarness(
        ScriptedProvider(head=refused), ScriptedProvider(text("a"), stop(), name="spare")
    )
    await run_turn(harness.turn(), harness.dependencies)
    attempts = as_json(stored_turn(ended_turn_view(harness.record)))["attempts"]
    assert isinstance(attempts, list)
    assert [(a["number"], a["provider"], a["result"], a["message"]) for a in attempts] == [
        (1, "main", "refused", "no connection"),
        (2, "main", "refused", "no connection"),
        (3, "spare", "answered", None),
    ]


async def test_unstored_turn_shows_no_text(
    autojump_clock: MockClock,
) -> None:
    harness = TurnHarness(ScriptedProvider(text("secret"), stop()))
    turn = harness.turn(a_request("main", keep_text=False))
    await run_turn(turn, harness.dependencies)
    assert live_turn(turn)["text"] == ""


async def test_list_truncates_long_text(autojump_clock: MockClock) -> None:
    harness = TurnHarness(ScriptedProvider(text("a"), stop()))
    await run_turn(harness.turn(), harness.dependencies)
    turn = ended_turn_view(harness.record)
    short = msgspec.structs.replace(turn, text="a" * LISTED_TEXT)
    long = msgspec.structs.replace(turn, text="a" * (LISTED_TEXT + 1))
    assert listed_turn(short) == stored_turn(short)
    assert listed_turn(long)["text"] == short.text
    assert listed_turn(long)["text_truncated"] is True
