"""One whole answer or one clear error: retries, breakers, cut answers, and what they cost."""

from collections.abc import Sequence

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from actors import events
from actors.attempt import Item
from actors.chunks import Chunk, FinishChunk, ReasoningChunk, TextChunk, ToolCallChunk, UsageChunk
from actors.links import Link
from actors.outcome import ErrorInfo, OnCut, Reason, Usage
from actors.providers.base import Capabilities, FailureKind, UpstreamFailure
from actors.streamer import Streamer
from actors.turn import TurnRequest
from tests.actors.fakes import (
    FOREVER,
    Line,
    Scene,
    ScriptedProvider,
    Theatre,
    a_request,
    stop,
    text,
)

K = FailureKind
CUT = UpstreamFailure(K.TRUNCATED, "The answer broke off.")
REFUSED = UpstreamFailure(K.REFUSED, "no connection")
DOWN = UpstreamFailure(K.SERVER_ERROR, "down", status=503)


class Play:
    """A streamer alone over these providers, the first of them first."""

    def __init__(self, *providers: ScriptedProvider, asked: TurnRequest | None = None) -> None:
        self.theatre = Theatre(*providers)
        self.turn = self.theatre.turn(asked)

    async def run(self) -> Sequence[Item]:
        link: Link[Item] = Link(1000)
        await Streamer(self.turn, self.theatre.upstreams).run(link.sender)
        return link.leftovers()

    async def again(self) -> Sequence[Item]:
        """Another turn of the same kind."""
        self.turn = self.theatre.turn(self.turn.request)
        return await self.run()

    @property
    def attempts(self) -> list[tuple[str, str]]:
        return [(a.provider, a.result) for a in self.turn.ledger.so_far()]

    @property
    def error(self) -> ErrorInfo:
        assert self.turn.cause is not None
        assert self.turn.cause.error is not None
        return self.turn.cause.error


def spare(*lines: Line, head: float | Exception = 0.0) -> ScriptedProvider:
    return ScriptedProvider(*lines, head=head, name="spare")


def shown(items: Sequence[Item]) -> str:
    return "".join(item.text for item in items if isinstance(item, TextChunk))


def warnings(items: Sequence[Item]) -> list[str]:
    return [item.code for item in items if isinstance(item, events.Warning)]


def asked(*providers: str, **varied: object) -> TurnRequest:
    return structs.replace(a_request(*providers), **varied)


async def test_a_retry_after_is_waited_out_on_the_same_route(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=2)
    main = ScriptedProvider(head=busy, then=[Scene((text("a"), stop()))])
    play = Play(main, spare(stop()))
    assert shown(await play.run()) == "a"
    assert 2.0 <= trio.current_time() <= 2.2
    assert play.attempts == [("main", "rejected"), ("main", "answered")]


async def test_where_the_time_is_short_the_next_route_is_not_kept_waiting(
    autojump_clock: MockClock,
) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=4)
    short = asked("main", "spare", total_s=3.0)
    play = Play(ScriptedProvider(head=busy), spare(text("a"), stop()), asked=short)
    assert shown(await play.run()) == "a"
    assert trio.current_time() == 0


async def test_a_cut_answer_is_continued_by_the_next_route(autojump_clock: MockClock) -> None:
    second = spare(text("Once upon "), text("a time there "), text("was."), stop())
    play = Play(ScriptedProvider(text("Once upon "), text("a time "), CUT), second)
    items = await play.run()
    assert shown(items) == "Once upon a time there was."
    assert items[-1] == FinishChunk(Reason.STOP)
    assert warnings(items) == ["continued"]
    assert play.attempts == [("main", "truncated"), ("spare", "answered")]
    assert play.turn.answered_by == play.turn.request.routes[1].route
    ((call, _),) = second.calls
    assert call.messages[-2] == {"role": "assistant", "content": "Once upon a time"}
    assert call.messages[-1]["role"] == "user"
    assert play.turn.cause is None


async def test_a_route_that_takes_prefill_gets_the_answer_as_it_is(
    autojump_clock: MockClock,
) -> None:
    second = spare(text("there was."), stop())
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    play = Play(
        ScriptedProvider(text("Once upon a time "), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    assert shown(await play.run()) == "Once upon a time there was."
    ((call, _),) = second.calls
    assert call.messages[-1] == {"role": "assistant", "content": "Once upon a time"}


async def test_a_refused_prefill_is_learnt_and_never_told(autojump_clock: MockClock) -> None:
    no = UpstreamFailure(K.REJECTED, "no prefill here", status=400)
    second = ScriptedProvider(
        head=no, name="spare", then=[Scene((text("Once upon a time"), text(" there."), stop()))]
    )
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    play = Play(
        ScriptedProvider(text("Once upon a time"), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    assert shown(await play.run()) == "Once upon a time there."
    assert play.turn.cause is None
    assert [call.messages[-1]["role"] for call, _ in second.calls] == ["assistant", "user"]
    await play.again()
    assert [call.messages[-1]["role"] for call, _ in second.calls][2:] == ["user"]


async def test_a_refusal_of_something_else_is_no_refused_prefill(
    autojump_clock: MockClock,
) -> None:
    second = spare(head=UpstreamFailure(K.REJECTED, "no such model", status=404))
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    play = Play(
        ScriptedProvider(text("Once upon a time"), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    await play.run()
    assert play.attempts == [("main", "truncated"), ("spare", "rejected")]
    assert not play.theatre.upstreams.board.status(able.route).prefill_refused


async def test_texts_that_do_not_fit_are_never_joined(autojump_clock: MockClock) -> None:
    play = Play(
        ScriptedProvider(text("Once upon a time there "), text("was a"), CUT),
        spare(text("The quick brown fox."), stop()),
    )
    items = await play.run()
    assert shown(items) == "Once upon a time there was a"
    assert play.attempts == [("main", "truncated"), ("spare", "misfit")]
    assert play.error.code == "truncated"
    assert "could not be continued" in play.error.message
    assert play.turn.answered_by == play.turn.request.routes[0].route
    assert not any(isinstance(item, FinishChunk) for item in items)


async def test_after_a_misfit_the_route_after_it_may_fit(autojump_clock: MockClock) -> None:
    third = ScriptedProvider(text("Once upon a time there was"), text(" a cat."), stop(), name="c")
    play = Play(
        ScriptedProvider(text("Once upon a time there "), text("was"), CUT),
        spare(text("The quick brown fox."), stop()),
        third,
    )
    assert shown(await play.run()) == "Once upon a time there was a cat."


@pytest.mark.parametrize("failure", [DOWN, REFUSED, UpstreamFailure(K.REJECTED, "?", status=404)])
async def test_whatever_the_continuation_meets_the_cut_is_what_is_told(
    autojump_clock: MockClock, failure: UpstreamFailure
) -> None:
    play = Play(ScriptedProvider(text("a b c"), CUT), spare(head=failure))
    await play.run()
    assert play.error.code == "truncated"
    assert play.turn.cause is not None
    assert play.turn.cause.reason is Reason.UPSTREAM_TRUNCATED


async def test_a_tool_call_is_not_continued(autojump_clock: MockClock) -> None:
    second = spare(stop())
    call: list[Chunk] = [ToolCallChunk(0, "id", "f", '{"a"')]
    play = Play(ScriptedProvider(call, CUT), second)
    await play.run()
    assert second.calls == []
    assert play.error.code == "truncated"


async def test_after_thought_alone_it_is_asked_again_and_thinks_unseen(
    autojump_clock: MockClock,
) -> None:
    first: list[Chunk] = [ReasoningChunk("hm")]
    second: list[Chunk] = [ReasoningChunk("well")]
    play = Play(ScriptedProvider(first, CUT), spare(second, text("So."), stop()))
    items = await play.run()
    assert shown(items) == "So."
    assert [item.text for item in items if isinstance(item, ReasoningChunk)] == ["hm"]


async def test_what_a_filter_cut_is_said_by_nobody_else(autojump_clock: MockClock) -> None:
    filtered = UpstreamFailure(K.IN_STREAM_ERROR, "no more of it", code="content_filter")
    second = spare(stop())
    play = Play(ScriptedProvider(text("Here is how "), filtered), second)
    await play.run()
    assert second.calls == []
    assert play.error.code == "content_filter"


async def test_the_words_of_a_continuing_route_stay_in_the_attempts(
    autojump_clock: MockClock,
) -> None:
    no = UpstreamFailure(K.REJECTED, "Organization org-9 must be verified.", status=404)
    play = Play(ScriptedProvider(text("a b c"), CUT), spare(head=no))
    await play.run()
    assert "org-9" not in play.error.message
    assert [a.message for a in play.turn.ledger.so_far()][1] == no.message


async def test_after_a_cut_that_nobody_saw_a_refusal_is_not_the_clients_mistake(
    autojump_clock: MockClock,
) -> None:
    no = UpstreamFailure(K.REJECTED, "bad", status=400)
    play = Play(
        ScriptedProvider(text("a b c"), CUT),
        spare(head=no),
        asked=asked("main", "spare", replaceable=True),
    )
    await play.run()
    assert (play.error.status, play.error.code) == (502, "truncated")


async def test_a_route_that_is_forbidden_to_every_key_is_left_alone(
    autojump_clock: MockClock,
) -> None:
    forbidden = UpstreamFailure(K.REJECTED, "no", status=403, another_key=True)
    main = ScriptedProvider(head=forbidden)
    play = Play(main, spare(text("a"), stop()))
    await play.run()
    assert len(main.calls) == 3
    await play.again()
    assert len(main.calls) == 3


async def test_a_figure_that_was_given_too_early_is_no_bill(autojump_clock: MockClock) -> None:
    early: list[Chunk] = [UsageChunk(Usage(input_tokens=10, output_tokens=0))]
    play = Play(ScriptedProvider(early, text("many words " * 50), FOREVER))
    with trio.move_on_after(1):
        await play.run()
    call, estimates = play.turn.request.call, play.theatre.upstreams.estimates
    charged = play.turn.ledger.charged(call, estimates)
    assert charged is not None
    assert charged.output_tokens > 50
    assert (charged.input_tokens, charged.estimated) == (10, True)


async def test_fail_means_fail(autojump_clock: MockClock) -> None:
    second = spare(stop())
    play = Play(
        ScriptedProvider(text("a"), CUT), second, asked=asked("main", "spare", on_cut=OnCut.FAIL)
    )
    await play.run()
    assert second.calls == []
    assert play.error.code == "truncated"


async def test_what_nobody_saw_is_asked_for_again(autojump_clock: MockClock) -> None:
    play = Play(
        ScriptedProvider(text("Other words"), CUT),
        spare(text("The whole answer."), [UsageChunk(USAGE)], stop()),
        asked=asked("main", "spare", replaceable=True),
    )
    items = await play.run()
    place = items.index(events.Retry("truncated"))
    assert shown(items[place:]) == "The whole answer."
    call, estimates = play.turn.request.call, play.theatre.upstreams.estimates
    assert play.turn.ledger.charged(call, estimates) == USAGE


USAGE = Usage(input_tokens=9, output_tokens=4)


async def test_what_cannot_be_begun_anew_is_kept_and_charged(autojump_clock: MockClock) -> None:
    play = Play(ScriptedProvider(text("four"), CUT), asked=asked("main", replaceable=True))
    items = await play.run()
    assert shown(items) == "four"
    call, estimates = play.turn.request.call, play.theatre.upstreams.estimates
    charged = play.turn.ledger.charged(call, estimates)
    assert charged is not None
    assert charged.output_tokens > 0


async def test_three_failures_open_the_breaker_and_the_route_is_passed_over(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=DOWN)
    play = Play(main, spare(text("a"), stop()))
    await play.run()
    await play.again()
    assert len(main.calls) == 3
    await play.again()
    assert len(main.calls) == 3
    assert play.attempts == [("main", "skipped"), ("spare", "answered")]


async def test_one_probe_closes_it_again(autojump_clock: MockClock) -> None:
    healthy = Scene((text("b"), stop()))
    main = ScriptedProvider(head=DOWN, then=[Scene(head=DOWN), Scene(head=DOWN), healthy])
    play = Play(main, spare(text("a"), stop()))
    await play.run()
    await play.again()
    await trio.sleep(61)
    assert shown(await play.again()) == "b"
    assert shown(await play.again()) == "b"


async def test_with_every_breaker_open_one_error_says_when_to_come_back(
    autojump_clock: MockClock,
) -> None:
    play = Play(ScriptedProvider(head=DOWN))
    await play.run()
    await play.again()
    await play.again()
    assert play.error.status == 503
    assert play.error.code == "no_route_available"
    assert play.error.retry_after_s is not None
    assert 50 < play.error.retry_after_s <= 60


async def test_a_client_that_leaves_is_no_failure(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    play = Play(main)
    for _ in range(5):
        with trio.move_on_after(1):
            await play.again()
    assert play.attempts == [("main", "cancelled")]
    assert len(main.calls) == 5


async def test_who_leaves_a_continuation_that_is_held_has_the_first_routes_words(
    autojump_clock: MockClock,
) -> None:
    second = spare(text("Once upon"), FOREVER)
    play = Play(ScriptedProvider(text("Once upon a time "), CUT), second)
    with trio.move_on_after(1):
        await play.run()
    assert play.attempts == [("main", "truncated"), ("spare", "cancelled")]
    assert play.turn.answered_by == play.turn.request.routes[0].route


async def test_what_a_route_cannot_be_asked_for_is_said(autojump_clock: MockClock) -> None:
    play = Play(ScriptedProvider(text("a"), stop(), cannot=("seed",)))
    items = await play.run()
    assert warnings(items) == ["parameter_ignored"]


async def test_a_strict_client_gets_a_route_that_can_or_a_400(autojump_clock: MockClock) -> None:
    unable = ScriptedProvider(stop(), cannot=("seed",))
    play = Play(unable, spare(text("a"), stop()), asked=asked("main", "spare", strict=True))
    assert shown(await play.run()) == "a"
    assert unable.calls == []
    play = Play(ScriptedProvider(cannot=("seed",)), asked=asked("main", strict=True))
    await play.run()
    assert play.error.status == 400
    assert "seed" in play.error.message


async def test_a_route_without_images_is_not_shown_any(autojump_clock: MockClock) -> None:
    request = a_request("main")
    blind = structs.replace(request.routes[0], capabilities=Capabilities(images=False))
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    call = structs.replace(request.call, messages=[{"role": "user", "content": [image]}])
    play = Play(ScriptedProvider(), asked=structs.replace(request, routes=(blind,), call=call))
    await play.run()
    assert play.error.status == 400
    assert "no_images" in play.error.message
