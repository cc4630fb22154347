"""The chain of screens: empty it costs nothing; a screen may hold back and change."""

from actors.accumulator import Draft
from actors.chunks import FinishChunk
from actors.events import Text
from actors.guard import Guard, watch
from actors.links import Link
from actors.outcome import Reason
from tests.actors.fakes import HoldingScreen

FINISH = FinishChunk(Reason.STOP)


class Shout:
    """Passes everything on at once, in capitals."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        return [Text(d.delta.upper()) if isinstance(d, Text) else d for d in drafts]

    def end(self) -> list[Draft]:
        return []


def test_the_empty_chain_returns_the_very_same_list() -> None:
    guard = Guard()
    drafts: list[Draft] = [Text("a")]
    assert guard.step(drafts) is drafts
    assert guard.end() == []


def test_a_screen_holds_back_until_it_is_sure() -> None:
    guard = Guard((HoldingScreen(),))
    assert guard.step([Text("one ")]) == []
    assert guard.step([Text("two. "), FINISH]) == [Text("one "), Text("two. ")]


def test_the_finish_waits_until_everything_is_released() -> None:
    guard = Guard((HoldingScreen(), Shout()))
    assert guard.step([Text("a. ")]) == [Text("A. ")]
    assert guard.step([Text("held"), FINISH]) == []
    assert guard.end() == [Text("HELD"), FINISH]


def test_what_was_held_at_the_end_goes_on_through_the_later_screens() -> None:
    guard = Guard((HoldingScreen(), Shout()))
    assert guard.step([Text("held")]) == []
    assert guard.end() == [Text("HELD")]


def test_two_that_hold_release_in_order() -> None:
    guard = Guard((HoldingScreen(), HoldingScreen()))
    assert guard.step([Text("a. ")]) == [Text("a. ")]
    assert guard.step([Text("b"), Text("c")]) == []
    assert guard.end() == [Text("b"), Text("c")]


async def test_the_actor_sends_what_passes_and_in_the_end_what_was_held() -> None:
    inbox: Link[Draft] = Link()
    outbox: Link[Draft] = Link()
    with inbox.sender:
        await inbox.sender.put([Text("a. ")])
        await inbox.sender.put([Text("b")])
    await watch(Guard((HoldingScreen(),)), inbox.receiver, outbox.sender)
    assert [batch async for batch in outbox.receiver] == [[Text("a. "), Text("b")]]
