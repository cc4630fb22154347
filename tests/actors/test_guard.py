"""Tests of the guard: screens may hold back and change drafts; an empty chain is free."""

from actors.accumulator import Draft
from actors.guard import Guard, watch
from actors.runtime.batch_channel import BatchChannel
from actors.turn.chunks import FinishChunk
from actors.turn.events import Text
from actors.turn.outcome import Reason
from tests.support.turn_fakes import HoldingScreen

FINISH = FinishChunk(Reason.STOP)


class Uppercase:
    """A screen that converts text to upper case."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        return [Text(d.delta.upper()) if isinstance(d, Text) else d for d in drafts]

    def end(self) -> list[Draft]:
        return []


def test_empty_chain_returns_the_same_list() -> None:
    guard = Guard()
    drafts: list[Draft] = [Text("a")]
    assert guard.step(drafts) is drafts
    assert guard.end() == []


def test_screen_holds_back_until_it_decides() -> None:
    guard = Guard((HoldingScreen(),))
    assert guard.step([Text("one ")]) == []
    assert guard.step([Text("two. "), FINISH]) == [Text("one "), Text("two. ")]


def test_finish_waits_until_everything_is_released() -> None:
    guard = Guard((HoldingScreen(), Uppercase()))
    assert guard.step([Text("a. ")]) == [Text("A. ")]
    assert guard.step([Text("held"), FINISH]) == []
    assert guard.end() == [Text("HELD"), FINISH]


def test_text_held_at_the_end_passes_later_screens() -> None:
    guard = Guard((HoldingScreen(), Uppercase()))
    assert guard.step([Text("held")]) == []
    assert guard.end() == [Text("HELD")]


def test_two_holding_screens_release_in_order() -> None:
    guard = Guard((HoldingScreen(), HoldingScreen()))
    assert guard.step([Text("a. ")]) == [Text("a. ")]
    assert guard.step([Text("b"), Text("c")]) == []
    assert guard.end() == [Text("b"), Text("c")]


async def test_actor_sends_passed_drafts_and_held_ones_at_the_end() -> None:
    inbox: BatchChannel[Draft] = BatchChannel()
    outbox: BatchChannel[Draft] = BatchChannel()
    with inbox.sender:
        await inbox.sender.put([Text("a. ")])
        await inbox.sender.put([Text("b")])
    await watch(Guard((HoldingScreen(),)), inbox.receiver, outbox.sender)
    assert [batch async for batch in outbox.receiver] == [[Text("a. "), Text("b")]]
