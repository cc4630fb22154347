"""Tests of failover: retries, breakers, interrupted answers, and the charged usage."""

from collections.abc import Sequence

import pytest
import trio
from msgspec import structs
from trio.testing import MockClock

from actors.attempts.attempt import Item
from actors.routing.breaker import BreakerStatus
from actors.runtime.batch_channel import BatchChannel
from actors.streamer import Streamer
from actors.turn import events
from actors.turn.chat_messages import read_messages, write_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import Capabilities, FailureKind, UpstreamFailure
from actors.turn.outcome import ErrorInfo, OnCut, Price, Reason, Usage
from actors.turn.request import TurnRequest
from actors.turn.step import charged
from tests.support.turn_fakes import (
    FOREVER,
    Line,
    Scene,
    ScriptedProvider,
    TurnHarness,
    a_request,
    stop,
    text,
)

K = FailureKind
CUT = UpstreamFailure(K.TRUNCATED, "The answer was interrupted.")
REFUSED = UpstreamFailure(K.REFUSED, "no connection")
DOWN = UpstreamFailure(K.SERVER_ERROR, "down", status=503)


class StreamerSetup:
    """A streamer without the other actors, with one route per provider."""

    def __init__(self, *providers: ScriptedProvider, asked: TurnRequest | None = None) -> None:
        self.harness = TurnHarness(*providers)
        self.turn = self.harness.turn(asked)

    async def run(self) -> Sequence[Item]:
        link: BatchChannel[Item] = BatchChannel(1000)
        step = self.turn.begin_step(self.turn.request.call)
        await Streamer(self.turn, step, self.harness.upstreams).run(link.sender)
        return link.leftovers()

    async def again(self) -> Sequence[Item]:
        """Run another turn with the same request."""
        self.turn = self.harness.turn(self.turn.request)
        return await self.run()

    async def differently(self, number: int) -> Sequence[Item]:
        """Run another turn whose call differs from the others."""
        request = self.turn.request
        call = structs.replace(request.call, parameters={"seed": number})
        self.turn = self.harness.turn(structs.replace(request, call=call))
        return await self.run()

    @property
    def breaker(self) -> BreakerStatus:
        """State of the first route's breaker."""
        return self.harness.board.status(self.turn.request.routes[0].route).breaker

    @property
    def attempts(self) -> list[tuple[str, str]]:
        return [(a.provider, a.result) for a in self.turn.steps[0].current_records(Price())]

    @property
    def charged(self) -> Usage | None:
        return charged(self.turn.steps, self.harness.upstreams.estimates)

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


async def test_retry_after_is_waited_for_on_the_same_route(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=2)
    main = ScriptedProvider(head=busy, then=[Scene((text("a"), stop()))])
    setup = StreamerSetup(main, spare(stop()))
    assert shown(await setup.run()) == "a"
    assert 2.0 <= trio.current_time() <= 2.2
    assert setup.attempts == [("main", "rejected"), ("main", "answered")]


async def test_wait_beyond_the_time_budget_is_skipped(
    autojump_clock: MockClock,
) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=4)
    short = asked("main", "spare", total_s=3.0)
    setup = StreamerSetup(ScriptedProvider(head=busy), spare(text("a"), stop()), asked=short)
    assert shown(await setup.run()) == "a"
    assert trio.current_time() == 0


async def test_interrupted_answer_is_continued_by_the_next_route(autojump_clock: MockClock) -> None:
    second = spare(text("Once upon "), text("a time there "), text("was."), stop())
    setup = StreamerSetup(ScriptedProvider(text("Once upon "), text("a time "), CUT), second)
    items = await setup.run()
    assert shown(items) == "Once upon a time there was."
    assert items[-1] == FinishChunk(Reason.STOP)
    assert warnings(items) == ["continued"]
    assert setup.attempts == [("main", "truncated"), ("spare", "answered")]
    assert setup.turn.answered_by == setup.turn.request.routes[1].route
    ((call, _),) = second.calls
    assert write_messages(call.messages)[-2] == {"role": "assistant", "content": "Once upon a time"}
    assert write_messages(call.messages)[-1]["role"] == "user"
    assert setup.turn.cause is None


async def test_route_with_prefill_gets_the_answer_as_last_message(
    autojump_clock: MockClock,
) -> None:
    second = spare(text("there was."), stop())
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    setup = StreamerSetup(
        ScriptedProvider(text("Once upon a time "), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    assert shown(await setup.run()) == "Once upon a time there was."
    ((call, _),) = second.calls
    assert write_messages(call.messages)[-1] == {"role": "assistant", "content": "Once upon a time"}


async def test_refused_prefill_is_remembered_and_hidden_from_the_client(
    autojump_clock: MockClock,
) -> None:
    no = UpstreamFailure(K.REJECTED, "no prefill here", status=400)
    second = ScriptedProvider(
        head=no, name="spare", then=[Scene((text("Once upon a time"), text(" there."), stop()))]
    )
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    setup = StreamerSetup(
        ScriptedProvider(text("Once upon a time"), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    assert shown(await setup.run()) == "Once upon a time there."
    assert setup.turn.cause is None
    assert [write_messages(call.messages)[-1]["role"] for call, _ in second.calls] == [
        "assistant",
        "user",
    ]
    await setup.again()
    assert [write_messages(call.messages)[-1]["role"] for call, _ in second.calls][2:] == ["user"]


async def test_other_rejection_is_not_a_refused_prefill(
    autojump_clock: MockClock,
) -> None:
    second = spare(head=UpstreamFailure(K.REJECTED, "no such model", status=404))
    request = a_request("main", "spare")
    able = structs.replace(request.routes[1], capabilities=Capabilities(prefill=True))
    setup = StreamerSetup(
        ScriptedProvider(text("Once upon a time"), CUT),
        second,
        asked=structs.replace(request, routes=(request.routes[0], able)),
    )
    await setup.run()
    assert setup.attempts == [("main", "truncated"), ("spare", "rejected")]
    assert not setup.harness.upstreams.board.status(able.route).prefill_refused


async def test_texts_that_do_not_fit_are_never_joined(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(
        ScriptedProvider(text("Once upon a time there "), text("was a"), CUT),
        spare(text("The quick brown fox."), stop()),
    )
    items = await setup.run()
    assert shown(items) == "Once upon a time there was a"
    assert setup.attempts == [("main", "truncated"), ("spare", "misfit")]
    assert setup.error.code == "truncated"
    assert "could not be continued" in setup.error.message
    assert setup.turn.answered_by == setup.turn.request.routes[0].route
    assert not any(isinstance(item, FinishChunk) for item in items)


async def test_after_a_misfit_the_next_route_is_tried(autojump_clock: MockClock) -> None:
    third = ScriptedProvider(text("Once upon a time there was"), text(" a cat."), stop(), name="c")
    setup = StreamerSetup(
        ScriptedProvider(text("Once upon a time there "), text("was"), CUT),
        spare(text("The quick brown fox."), stop()),
        third,
    )
    assert shown(await setup.run()) == "Once upon a time there was a cat."


@pytest.mark.parametrize("failure", [DOWN, REFUSED, UpstreamFailure(K.REJECTED, "?", status=404)])
async def test_error_of_a_failed_continuation_is_the_interruption(
    autojump_clock: MockClock, failure: UpstreamFailure
) -> None:
    setup = StreamerSetup(ScriptedProvider(text("a b c"), CUT), spare(head=failure))
    await setup.run()
    assert setup.error.code == "truncated"
    assert setup.turn.cause is not None
    assert setup.turn.cause.reason is Reason.UPSTREAM_TRUNCATED


async def test_tool_call_is_not_continued(autojump_clock: MockClock) -> None:
    second = spare(stop())
    call: list[Chunk] = [ToolCallChunk(0, "id", "f", '{"a"')]
    setup = StreamerSetup(ScriptedProvider(call, CUT), second)
    await setup.run()
    assert second.calls == []
    assert setup.error.code == "truncated"


async def test_after_reasoning_alone_the_second_reasoning_is_hidden(
    autojump_clock: MockClock,
) -> None:
    first: list[Chunk] = [ReasoningChunk("hm")]
    second: list[Chunk] = [ReasoningChunk("well")]
    setup = StreamerSetup(ScriptedProvider(first, CUT), spare(second, text("So."), stop()))
    items = await setup.run()
    assert shown(items) == "So."
    assert [item.text for item in items if isinstance(item, ReasoningChunk)] == ["hm"]


async def test_filtered_answer_is_not_continued_by_another_route(autojump_clock: MockClock) -> None:
    filtered = UpstreamFailure(K.IN_STREAM_ERROR, "no more of it", code="content_filter")
    second = spare(stop())
    setup = StreamerSetup(ScriptedProvider(text("Here is how "), filtered), second)
    await setup.run()
    assert second.calls == []
    assert setup.error.code == "content_filter"


async def test_rejection_of_a_continuation_is_only_in_the_attempts(
    autojump_clock: MockClock,
) -> None:
    no = UpstreamFailure(K.REJECTED, "Organization org-9 must be verified.", status=404)
    setup = StreamerSetup(ScriptedProvider(text("a b c"), CUT), spare(head=no))
    await setup.run()
    assert "org-9" not in setup.error.message
    assert [a.message for a in setup.turn.steps[0].current_records(Price())][1] == no.message


async def test_rejection_after_an_unseen_interruption_is_not_a_client_mistake(
    autojump_clock: MockClock,
) -> None:
    no = UpstreamFailure(K.REJECTED, "bad", status=400)
    setup = StreamerSetup(
        ScriptedProvider(text("a b c"), CUT),
        spare(head=no),
        asked=asked("main", "spare", replaceable=True),
    )
    await setup.run()
    assert (setup.error.status, setup.error.code) == (502, "truncated")


async def test_route_stays_open_to_keys_that_a_call_could_not_try(
    autojump_clock: MockClock,
) -> None:
    refused = UpstreamFailure(K.REJECTED, "no", status=401, another_key=True)
    healthy = Scene((text("b"), stop()))
    main = ScriptedProvider(head=refused, then=[*[Scene(head=refused)] * 2, healthy])
    setup = StreamerSetup(main, spare(text("a"), stop()))
    assert shown(await setup.run()) == "a"
    assert shown(await setup.again()) == "b"


async def test_usage_reported_too_early_is_not_charged_as_is(autojump_clock: MockClock) -> None:
    early: list[Chunk] = [UsageChunk(Usage(input_tokens=10, output_tokens=0))]
    setup = StreamerSetup(ScriptedProvider(early, text("many words " * 50), FOREVER))
    with trio.move_on_after(1):
        await setup.run()
    charged = setup.charged
    assert charged is not None
    assert charged.output_tokens > 50
    assert (charged.input_tokens, charged.estimated) == (10, True)


async def test_on_cut_fail_makes_no_other_attempt(autojump_clock: MockClock) -> None:
    second = spare(stop())
    setup = StreamerSetup(
        ScriptedProvider(text("a"), CUT), second, asked=asked("main", "spare", on_cut=OnCut.FAIL)
    )
    await setup.run()
    assert second.calls == []
    assert setup.error.code == "truncated"


async def test_unseen_answer_is_restarted(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(
        ScriptedProvider(text("Other words"), CUT),
        spare(text("The whole answer."), [UsageChunk(USAGE)], stop()),
        asked=asked("main", "spare", replaceable=True),
    )
    items = await setup.run()
    place = items.index(events.Retry("truncated"))
    assert shown(items[place:]) == "The whole answer."
    assert setup.charged == USAGE


USAGE = Usage(input_tokens=9, output_tokens=4)


async def test_answer_that_cannot_be_restarted_is_kept_and_charged(
    autojump_clock: MockClock,
) -> None:
    setup = StreamerSetup(
        ScriptedProvider(text("four"), CUT), asked=asked("main", replaceable=True)
    )
    items = await setup.run()
    restarts = [at for at, item in enumerate(items) if item == events.Retry("truncated")]
    assert len(restarts) == 2, "the sole route is asked again"
    assert shown(items[restarts[-1] :]) == "four"
    charged = setup.charged
    assert charged is not None
    assert charged.output_tokens > 0


async def fail_calls(setup: StreamerSetup, count: int = 5) -> None:
    for number in range(count):
        await setup.differently(number)


async def test_failed_calls_open_the_breaker_and_the_route_is_skipped(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(head=DOWN)
    setup = StreamerSetup(main, spare(text("a"), stop()))
    await fail_calls(setup)
    assert len(main.calls) == 10
    await setup.again()
    assert len(main.calls) == 10
    assert setup.attempts == [("main", "skipped"), ("spare", "answered")]


async def test_call_whose_retry_succeeds_is_not_a_failure(autojump_clock: MockClock) -> None:
    flaky = [Scene((text("b"), stop())), Scene(head=DOWN)] * 30
    setup = StreamerSetup(ScriptedProvider(head=DOWN, then=flaky))
    for number in range(20):
        assert shown(await setup.differently(number)) == "b"
        assert setup.attempts == [("main", "server_error"), ("main", "answered")]
    breaker = setup.breaker
    assert (breaker.failures, breaker.calls) == (0, 20)


async def test_interrupted_answer_counts_once_as_failure(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(text("a"), CUT), asked=asked("main", replaceable=True))
    await setup.run()
    assert [result for _, result in setup.attempts] == ["truncated"] * 3
    assert (setup.breaker.failures, setup.breaker.calls) == (1, 1)


async def test_client_that_leaves_during_a_retry_does_not_hide_the_failure(
    autojump_clock: MockClock,
) -> None:
    setup = StreamerSetup(ScriptedProvider(head=DOWN, then=[Scene(head=FOREVER)]))
    with trio.move_on_after(1):
        await setup.run()
    assert setup.attempts == [("main", "server_error"), ("main", "cancelled")]
    assert setup.breaker.failures == 1


async def test_client_that_leaves_a_retry_with_content_leaves_no_failure(
    autojump_clock: MockClock,
) -> None:
    setup = StreamerSetup(ScriptedProvider(head=DOWN, then=[Scene((text("a"), FOREVER))]))
    with trio.move_on_after(1):
        await setup.run()
    assert (setup.breaker.failures, setup.breaker.calls) == (0, 1)


async def test_rejections_and_refused_keys_do_not_touch_the_route(
    autojump_clock: MockClock,
) -> None:
    for status in (400, 401, 402, 403, 404, 429):
        no = UpstreamFailure(K.REJECTED, "no", status=status, retry_after_s=60)
        setup = StreamerSetup(ScriptedProvider(head=no))
        await fail_calls(setup, 20)
        assert (setup.breaker.state, setup.breaker.calls) == ("closed", 0)


async def test_call_that_is_rejected_after_a_retry_is_not_a_failure(
    autojump_clock: MockClock,
) -> None:
    for status in (400, 401, 403, 429):
        no = UpstreamFailure(K.REJECTED, "no", status=status, retry_after_s=60)
        setup = StreamerSetup(ScriptedProvider(head=DOWN, then=[Scene(head=no)]))
        await setup.run()
        assert setup.attempts == [("main", "server_error"), ("main", "rejected")]
        assert (setup.breaker.failures, setup.breaker.calls) == (0, 0)


async def test_forbidden_call_is_tried_on_the_next_route(autojump_clock: MockClock) -> None:
    no = UpstreamFailure(K.REJECTED, "blocked by a firewall", status=403)
    setup = StreamerSetup(ScriptedProvider(head=no), spare(head=no))
    await setup.run()
    assert setup.attempts == [("main", "rejected"), ("spare", "rejected")]
    assert (setup.error.status, setup.error.message) == (403, "blocked by a firewall")


async def test_successful_probe_closes_the_breaker(autojump_clock: MockClock) -> None:
    healthy = Scene((text("b"), stop()))
    main = ScriptedProvider(head=DOWN, then=[*[Scene(head=DOWN)] * 9, healthy])
    setup = StreamerSetup(main, spare(text("a"), stop()))
    await fail_calls(setup)
    await trio.sleep(6)
    assert shown(await setup.again()) == "b"
    assert shown(await setup.again()) == "b"


async def test_failed_probe_is_not_repeated_for_the_same_call(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(head=DOWN)
    setup = StreamerSetup(main, spare(text("a"), stop()))
    await fail_calls(setup)
    await trio.sleep(6)
    await setup.differently(5)
    assert len(main.calls) == 11
    await trio.sleep(2)
    await setup.differently(6)
    assert len(main.calls) == 11


async def test_open_breakers_give_one_error_with_retry_after(
    autojump_clock: MockClock,
) -> None:
    setup = StreamerSetup(ScriptedProvider(head=DOWN))
    await fail_calls(setup)
    await setup.again()
    assert setup.error.status == 503
    assert setup.error.code == "no_route_available"
    assert setup.error.retry_after_s is not None
    assert 0 < setup.error.retry_after_s <= 1
    assert "main/main-model (breaker_open)" in setup.error.message


async def test_disconnect_does_not_count_as_a_failure(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), FOREVER)
    setup = StreamerSetup(main)
    for _ in range(5):
        with trio.move_on_after(1):
            await setup.again()
    assert setup.attempts == [("main", "cancelled")]
    assert len(main.calls) == 5


async def test_disconnect_during_a_held_continuation_keeps_the_first_route(
    autojump_clock: MockClock,
) -> None:
    second = spare(text("Once upon"), FOREVER)
    setup = StreamerSetup(ScriptedProvider(text("Once upon a time "), CUT), second)
    with trio.move_on_after(1):
        await setup.run()
    assert setup.attempts == [("main", "truncated"), ("spare", "cancelled")]
    assert setup.turn.answered_by == setup.turn.request.routes[0].route


async def test_ignored_parameter_gives_a_warning(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(text("a"), stop(), cannot=("seed",)))
    items = await setup.run()
    assert warnings(items) == ["parameter_ignored"]


async def test_strict_client_gets_a_supporting_route_or_a_400(autojump_clock: MockClock) -> None:
    unable = ScriptedProvider(stop(), cannot=("seed",))
    setup = StreamerSetup(
        unable, spare(text("a"), stop()), asked=asked("main", "spare", strict=True)
    )
    assert shown(await setup.run()) == "a"
    assert unable.calls == []
    setup = StreamerSetup(ScriptedProvider(cannot=("seed",)), asked=asked("main", strict=True))
    await setup.run()
    assert setup.error.status == 400
    assert "seed" in setup.error.message


async def test_route_without_images_is_skipped_for_images(autojump_clock: MockClock) -> None:
    request = a_request("main")
    blind = structs.replace(request.routes[0], capabilities=Capabilities(images=False))
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    call = structs.replace(
        request.call, messages=read_messages([{"role": "user", "content": [image]}])
    )
    setup = StreamerSetup(
        ScriptedProvider(), asked=structs.replace(request, routes=(blind,), call=call)
    )
    await setup.run()
    assert setup.error.status == 400
    assert "no_images" in setup.error.message
