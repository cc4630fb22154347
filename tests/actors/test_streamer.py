"""Tests of the streamer: order of routes, recorded attempts, and closed connections."""

import threading
from collections.abc import Sequence

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors.attempts.attempt import Item
from actors.attempts.deadlines import SLACK_S
from actors.routing.requirements import Requirements, requirements_of
from actors.runtime.batch_channel import BatchChannel
from actors.runtime.offload import BUDGET, Cost
from actors.streamer import Streamer
from actors.turn import events
from actors.turn.chunks import FinishChunk, SkippedChunk, TextChunk, UsageChunk
from actors.turn.model_call import FailureKind, ModelCall, UpstreamFailure
from actors.turn.outcome import Price, Reason
from actors.turn.request import Timeouts
from actors.turn.state import Turn
from actors.usage.estimator import LearningEstimator
from tests.support.sample_events import USAGE
from tests.support.turn_fakes import (
    FOREVER,
    Line,
    ScriptedProvider,
    TurnHarness,
    a_request,
    now,
    stop,
    text,
)

K = FailureKind
REFUSED = UpstreamFailure(K.REFUSED, "no connection")
CUT = UpstreamFailure(K.TRUNCATED, "cut")
QUICK = Timeouts(connect_s=1, first_byte_s=2, first_token_s=3, idle_s=4)


class StreamerSetup:
    """A streamer without the other actors, and its output."""

    def __init__(self, *providers: ScriptedProvider, timeouts: Timeouts = QUICK) -> None:
        asked = a_request(*(p.name for p in providers), timeouts=timeouts)
        self.harness = TurnHarness(*providers)
        self.turn: Turn = self.harness.turn(asked)
        self.link: BatchChannel[Item] = BatchChannel(1000)

    @property
    def streamer(self) -> Streamer:
        step = self.turn.begin_step(self.turn.request.call)
        return Streamer(self.turn, step, self.harness.upstreams)

    async def run(self) -> Sequence[Item]:
        await self.streamer.run(self.link.sender)
        return self.link.leftovers()

    @property
    def attempts(self) -> list[tuple[str, str]]:
        return [(a.provider, a.result) for a in self.turn.steps[0].current_records(Price())]

    @property
    def reason(self) -> Reason | None:
        return self.turn.cause.reason if self.turn.cause else None


async def test_complete_answer_follows_started(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), text("b", "c"), stop())
    setup = StreamerSetup(main)
    assert await setup.run() == [
        events.Started(
            turn_id="turn_1",
            model="large",
            provider="main",
            upstream_model="main-model",
            created_at=now(),
            input_estimate=LearningEstimator().estimate_input("", setup.turn.request.call),
        ),
        *text("a", "b", "c"),
        FinishChunk(Reason.STOP),
    ]
    assert setup.attempts == [("main", "answered")]
    assert setup.turn.cause is None
    assert (main.answer.released, main.answer.closed) == (1, 0)


async def test_call_has_the_routes_model_and_the_clients_parameters(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(stop())
    await StreamerSetup(main).run()
    ((call, connect_s),) = main.calls
    assert call.upstream_model == "main-model"
    assert call.parameters == {"temperature": 0.5}
    assert connect_s == QUICK.connect_s


@pytest.mark.parametrize(("messages", "inline"), [(1, True), (BUDGET // Cost.VALUE + 1, False)])
async def test_only_a_large_call_is_analysed_in_a_thread(
    messages: int, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def recording(call: ModelCall, input_tokens: int) -> Requirements:
        threads.append(threading.get_ident())
        return requirements_of(call, input_tokens)

    monkeypatch.setattr("actors.streamer.requirements_of", recording)
    setup = StreamerSetup(ScriptedProvider(text("a"), stop()))
    call = setup.turn.request.call
    call = replace(call, messages=call.messages * messages)
    setup.turn.request = replace(setup.turn.request, call=call)
    assert len(await setup.run()) == 3
    assert [thread == threading.get_ident() for thread in threads] == [inline]


@pytest.mark.parametrize(
    ("failure", "result", "tries"),
    [
        (REFUSED, "refused", 2),
        (UpstreamFailure(K.CONNECT_TIMEOUT, "slow"), "connect_timeout", 1),
        (UpstreamFailure(K.SERVER_ERROR, "broken", status=500), "server_error", 2),
        (UpstreamFailure(K.REJECTED, "bad key", status=401), "rejected", 1),
        (UpstreamFailure(K.REJECTED, "busy", status=429), "rejected", 3),
    ],
)
async def test_next_route_is_tried_when_opening_fails(
    autojump_clock: MockClock, failure: UpstreamFailure, result: str, tries: int
) -> None:
    spare = ScriptedProvider(text("a"), stop(), name="spare")
    setup = StreamerSetup(ScriptedProvider(head=failure), spare)
    first, *rest = await setup.run()
    assert isinstance(first, events.Started)
    assert first.provider == "spare"
    assert rest == [*text("a"), *stop()]
    assert setup.attempts == [("main", result)] * tries + [("spare", "answered")]
    assert setup.turn.cause is None


async def test_400_is_not_retried_on_other_routes(autojump_clock: MockClock) -> None:
    spare = ScriptedProvider(stop(), name="spare")
    setup = StreamerSetup(
        ScriptedProvider(head=UpstreamFailure(K.REJECTED, "bad", status=400)), spare
    )
    assert await setup.run() == []
    assert spare.calls == []
    assert setup.reason is Reason.UPSTREAM_REJECTED


@pytest.mark.parametrize(
    "lines",
    [
        [CUT],
        [[], CUT],
        [[SkippedChunk("?")], CUT],
        [[UsageChunk(USAGE)], UpstreamFailure(K.IN_STREAM_ERROR, "overloaded")],
        [FOREVER],
    ],
)
async def test_next_route_is_tried_after_a_failure_before_content(
    autojump_clock: MockClock, lines: list[Line]
) -> None:
    main = ScriptedProvider(*lines)
    spare = ScriptedProvider(text("a"), stop(), name="spare")
    setup = StreamerSetup(main, spare)
    items = await setup.run()
    assert [type(i) for i in items if isinstance(i, (events.Started, events.RouteChanged))] == [
        events.Started,
        events.RouteChanged,
    ]
    assert items[-2:] == [*text("a"), *stop()]
    assert setup.turn.answered_by == setup.turn.request.routes[1].route
    assert main.answer.closed == 1
    assert spare.answer.released == 1


async def test_route_change_has_the_reason(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(FOREVER), ScriptedProvider(stop(), name="spare"))
    items = await setup.run()
    assert events.RouteChanged("spare", "spare-model", "first_token_timeout") in items
    assert trio.current_time() == QUICK.first_token_s


async def test_last_failure_is_reported_when_all_routes_fail(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=30)
    setup = StreamerSetup(ScriptedProvider(head=REFUSED), ScriptedProvider(head=busy, name="spare"))
    assert await setup.run() == []
    assert setup.attempts == [("main", "refused")] * 2 + [("spare", "rejected")]
    assert setup.turn.cause is not None
    assert setup.turn.cause.reason is Reason.UPSTREAM_REJECTED
    assert setup.turn.cause.error is not None
    assert setup.turn.cause.error.retry_after_s == 30


async def test_error_lists_the_attempts(autojump_clock: MockClock) -> None:
    broken = UpstreamFailure(K.SERVER_ERROR, "It is broken.", status=500)
    setup = StreamerSetup(
        ScriptedProvider(head=REFUSED), ScriptedProvider(head=broken, name="spare")
    )
    await setup.run()
    assert setup.turn.cause is not None
    assert setup.turn.cause.error is not None
    assert setup.turn.cause.error.message == (
        "It is broken. Tried: main/main-model: refused, 2 times;"
        " spare/spare-model: server error 500, 2 times."
    )


async def test_end_without_a_finish_is_truncated(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"))
    setup = StreamerSetup(main)
    await setup.run()
    assert setup.reason is Reason.UPSTREAM_TRUNCATED
    assert setup.attempts == [("main", "truncated")]
    assert (main.answer.released, main.answer.closed) == (0, 1)


@pytest.mark.parametrize(
    "after",
    [
        CUT,
        UpstreamFailure(K.IN_STREAM_ERROR, "late"),
        FOREVER,
    ],
)
async def test_failure_after_the_finish_is_ignored(autojump_clock: MockClock, after: Line) -> None:
    main = ScriptedProvider(text("a"), stop(), after)
    spare = ScriptedProvider(stop(), name="spare")
    setup = StreamerSetup(main, spare)
    items = await setup.run()
    assert items[-1] == FinishChunk(Reason.STOP)
    assert setup.turn.cause is None
    assert setup.attempts == [("main", "answered")]
    assert (main.answer.released, main.answer.closed) == (0, 1)
    assert spare.calls == []


STAMPED = [*text("a"), *stop()]
"""A read of a server that stamps a finish reason on every piece."""


@pytest.mark.parametrize(
    ("lines", "until"),
    [
        ([text("a"), stop(), FOREVER], 2),
        ([text("a"), stop(), 1.9, None, 1.9, [UsageChunk(USAGE)], FOREVER], 1.9 + 1.9 + 2),
        ([stop(), 1.9, text("a"), FOREVER], 1.9 + 2),
        ([STAMPED, 1.9, STAMPED, 1.9, STAMPED, 0.5], 1.9 + 1.9 + 0.5),
        ([STAMPED, 1.9, STAMPED, FOREVER], 1.9 + 2),
    ],
)
async def test_end_of_the_stream_ends_the_answer_or_silence_after_a_finish(
    autojump_clock: MockClock, lines: list[Line], until: float
) -> None:
    main = ScriptedProvider(*lines)
    setup = StreamerSetup(main, timeouts=replace(QUICK, after_finish_s=2))
    items = await setup.run()
    assert trio.current_time() == pytest.approx(until)
    assert setup.attempts == [("main", "answered")]
    content = [item for item in items[1:] if isinstance(item, TextChunk)]
    assert content == [chunk for chunk in main.answer.said if isinstance(chunk, TextChunk)]
    assert [item for item in items if isinstance(item, FinishChunk)] == stop()
    assert items[-1:] == stop()


@pytest.mark.parametrize("after", [CUT, UpstreamFailure(K.IN_STREAM_ERROR, "late")])
async def test_failure_after_a_finish_that_content_followed_is_a_failure(
    autojump_clock: MockClock, after: Line
) -> None:
    setup = StreamerSetup(ScriptedProvider(STAMPED, STAMPED, after))
    items = await setup.run()
    assert not any(isinstance(item, FinishChunk) for item in items)
    assert setup.turn.cause is not None


async def test_last_finish_reason_counts(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(stop(), stop(Reason.LENGTH)))
    assert (await setup.run())[-1:] == stop(Reason.LENGTH)


async def test_cancellation_after_a_finish_keeps_it(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(text("a"), stop(), FOREVER))
    with trio.move_on_after(1):
        await setup.run()
    assert setup.link.leftovers()[-1:] == stop()


TIMEOUTS: list[tuple[float, list[Line], float, float, FailureKind]] = [
    # delay of the head, lines, start of the silence, allowed silence, failure kind
    (FOREVER, [], 0, 2, K.FIRST_BYTE_TIMEOUT),
    (1.5, [FOREVER], 1.5, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [[UsageChunk(USAGE)], FOREVER], 0, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [2.5, text("a"), FOREVER], 2.5, 4, K.IDLE_TIMEOUT),
    (0.0, [text("a"), 3.9, text("b"), FOREVER], 3.9, 4, K.IDLE_TIMEOUT),
    (0.0, [2.9, None, 2.9, None, FOREVER], 5.8, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [2.9, [UsageChunk(USAGE)], 2.9, None, FOREVER], 5.8, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [text("a"), 3.9, None, 3.9, None, FOREVER], 7.8, 4, K.IDLE_TIMEOUT),
]


@pytest.mark.parametrize(("head", "lines", "silent_from", "may_last", "kind"), TIMEOUTS)
async def test_each_timeout_fires_on_time(
    autojump_clock: MockClock,
    head: float,
    lines: list[Line],
    silent_from: float,
    may_last: float,
    kind: FailureKind,
) -> None:
    main = ScriptedProvider(*lines, head=head)
    setup = StreamerSetup(main)
    await setup.run()
    slack = SLACK_S if kind is K.IDLE_TIMEOUT else 0
    silence = trio.current_time() - silent_from
    assert may_last <= silence + 1e-9
    assert silence <= may_last + slack + 1e-9
    assert setup.attempts == [("main", kind.value)]
    assert setup.reason is Reason.UPSTREAM_TIMEOUT
    assert main.opening == 0
    assert all(answer.closed == 1 for answer in main.answers)


async def test_each_attempt_has_its_own_timeouts(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(
        ScriptedProvider(head=FOREVER), ScriptedProvider(1.9, text("a"), stop(), name="spare")
    )
    await setup.run()
    assert setup.attempts == [("main", "first_byte_timeout"), ("spare", "answered")]
    first, second = setup.turn.steps[0].current_records(Price())
    assert second.started_at == first.ended_at


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5])
async def test_cancel_leaves_nothing_open(autojump_clock: MockClock, at: float) -> None:
    """Cancel before the head, before the content, and in the middle of the content."""
    main = ScriptedProvider(1.0, text("a"), FOREVER, head=1.0)
    setup = StreamerSetup(main)
    with trio.move_on_after(at):
        await setup.run()
    assert setup.attempts == [("main", "cancelled")]
    assert main.opening == 0
    assert [answer.closed for answer in main.answers] == [1] * (at > 1)
    assert trio.current_time() == at


async def test_cancel_with_a_full_link_closes_and_keeps_the_batch(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), text("b"), stop())
    setup = StreamerSetup(main)
    setup.link = BatchChannel(1)
    with trio.move_on_after(1):
        await setup.streamer.run(setup.link.sender)
    items = setup.link.leftovers()
    assert [item for item in items if isinstance(item, TextChunk)] == main.answer.said
    assert main.answer.left == 1


async def test_exception_of_a_provider_is_recorded_and_propagates(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), ValueError("bug"))
    setup = StreamerSetup(main)
    with pytest.raises(ValueError, match="bug"):
        await setup.run()
    assert setup.attempts == [("main", "crashed")]
    assert main.answer.closed == 1


async def test_time_of_first_content_is_recorded_once(autojump_clock: MockClock) -> None:
    setup = StreamerSetup(ScriptedProvider(1.0, text("a"), 1.0, text("b"), stop()))
    created = setup.turn.created_at
    await setup.run()
    assert setup.turn.first_token_at == created + 1
    assert setup.turn.stage == "streaming"
