"""A turn as clients see it: live while it plays, and at its end."""

import msgspec
import trio
from trio.testing import MockClock

from actors.outcome import Reason
from actors.providers.base import FailureKind, UpstreamFailure
from actors.run_turn import run_turn
from tests.actors.fakes import ScriptedProvider, Theatre, a_request, stop, text
from tests.web.house import view
from web.turn_json import LISTED_TEXT, listed_turn, live_turn, stored_turn


def as_json(described: dict[str, object]) -> dict[str, object]:
    return msgspec.json.decode(msgspec.json.encode(described))  # type: ignore[no-any-return]


async def test_a_turn_that_has_not_begun(autojump_clock: MockClock) -> None:
    turn = Theatre(ScriptedProvider()).turn()
    described = as_json(live_turn(turn))
    assert described["status"] == "in_progress"
    assert described["mode"] == "background"
    assert described["model"] == "large"
    for unknown in ("reason", "provider", "usage", "last_event", "ended_at", "stored", "error"):
        assert described[unknown] is None
    assert (described["text"], described["cost_micros"]) == ("", 0)


async def test_a_failed_turn_tells_its_error_both_ways(autojump_clock: MockClock) -> None:
    failure = UpstreamFailure(FailureKind.SERVER_ERROR, "overloaded", status=503, retry_after_s=4)
    theatre = Theatre(ScriptedProvider(head=failure))
    turn = theatre.turn()
    await run_turn(turn, theatre.backstage)
    live = as_json(live_turn(turn))
    stored = as_json(stored_turn(view(theatre.record)))
    assert live["error"] == stored["error"]
    assert live["error"] == {
        "status": 503,
        "message": "overloaded",
        "code": "server_error",
        "retry_after_s": 4.0,
    }
    assert live["reason"] == stored["reason"] == Reason.UPSTREAM_ERROR.value
    assert live["usage"] is None
    assert stored["usage"] is None


async def test_an_end_without_an_error_of_its_own_is_told_both_ways(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), 5.0, stop()))
    turn = theatre.turn()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run_turn, turn, theatre.backstage)
        await trio.sleep(1)
        turn.stop(Reason.CANCEL_REQUESTED)
    live = as_json(live_turn(turn))
    assert live["error"] == as_json(stored_turn(view(theatre.record)))["error"]
    assert live["error"] == {
        "status": 499,
        "message": "The turn was cancelled on request.",
        "code": "cancel_requested",
        "type": "server_error",
    }


async def test_attempts_are_told_one_by_one(autojump_clock: MockClock) -> None:
    refused = UpstreamFailure(FailureKind.REFUSED, "no connection")
    theatre = Theatre(
        ScriptedProvider(head=refused), ScriptedProvider(text("a"), stop(), name="spare")
    )
    await run_turn(theatre.turn(), theatre.backstage)
    attempts = as_json(stored_turn(view(theatre.record)))["attempts"]
    assert isinstance(attempts, list)
    assert [(a["number"], a["provider"], a["result"], a["message"]) for a in attempts] == [
        (1, "main", "refused", "no connection"),
        (2, "main", "refused", "no connection"),
        (3, "spare", "answered", None),
    ]


async def test_a_turn_that_keeps_no_text_shows_none_while_it_lives(
    autojump_clock: MockClock,
) -> None:
    theatre = Theatre(ScriptedProvider(text("secret"), stop()))
    turn = theatre.turn(a_request("main", keep_text=False))
    await run_turn(turn, theatre.backstage)
    assert live_turn(turn)["text"] == ""


async def test_a_list_cuts_a_long_text_and_says_so(autojump_clock: MockClock) -> None:
    theatre = Theatre(ScriptedProvider(text("a"), stop()))
    await run_turn(theatre.turn(), theatre.backstage)
    turn = view(theatre.record)
    short = msgspec.structs.replace(turn, text="a" * LISTED_TEXT)
    long = msgspec.structs.replace(turn, text="a" * (LISTED_TEXT + 1))
    assert listed_turn(short) == stored_turn(short)
    assert listed_turn(long)["text"] == short.text
    assert listed_turn(long)["text_truncated"] is True
