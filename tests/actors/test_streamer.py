"""Routes in their order, attempts on record, and an upstream that is always left exactly once."""

import threading
from collections.abc import Sequence

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from actors import events
from actors.attempt import Item
from actors.attempt_clock import SLACK_S
from actors.chunks import FinishChunk, SkippedChunk, TextChunk, UsageChunk
from actors.estimating.estimator import Estimator
from actors.heavy import LARGE_VALUES
from actors.links import Link
from actors.outcome import Reason
from actors.providers.base import FailureKind, ModelCall, UpstreamFailure
from actors.routing.needs import Needs, needs_of
from actors.streamer import Streamer
from actors.timeouts import Timeouts
from actors.turn import Turn
from tests.actors.fakes import (
    FOREVER,
    Line,
    ScriptedProvider,
    Theatre,
    a_request,
    now,
    stop,
    text,
)
from tests.actors.samples import USAGE

K = FailureKind
REFUSED = UpstreamFailure(K.REFUSED, "no connection")
CUT = UpstreamFailure(K.TRUNCATED, "cut")
QUICK = Timeouts(connect_s=1, first_byte_s=2, first_token_s=3, idle_s=4)


class Play:
    """A streamer alone, and what came out of it."""

    def __init__(self, *providers: ScriptedProvider, timeouts: Timeouts = QUICK) -> None:
        asked = a_request(*(p.name for p in providers), timeouts=timeouts)
        self.theatre = Theatre(*providers)
        self.turn: Turn = self.theatre.turn(asked)
        self.streamer = Streamer(self.turn, self.theatre.upstreams)
        self.link: Link[Item] = Link(1000)

    async def run(self) -> Sequence[Item]:
        await self.streamer.run(self.link.sender)
        return self.link.leftovers()

    @property
    def attempts(self) -> list[tuple[str, str]]:
        return [(a.provider, a.result) for a in self.turn.ledger.so_far()]

    @property
    def reason(self) -> Reason | None:
        return self.turn.cause.reason if self.turn.cause else None


async def test_a_whole_answer_is_passed_on_after_started(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), text("b", "c"), stop())
    play = Play(main)
    assert await play.run() == [
        events.Started(
            turn_id="turn_1",
            model="large",
            provider="main",
            upstream_model="main-model",
            created_at=now(),
            input_estimate=Estimator().estimate_input("", play.turn.request.call),
        ),
        *text("a", "b", "c"),
        FinishChunk(Reason.STOP),
    ]
    assert play.attempts == [("main", "answered")]
    assert play.turn.cause is None
    assert (main.answer.released, main.answer.closed) == (1, 0)


async def test_the_call_names_the_routes_model_and_keeps_the_parameters(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(stop())
    await Play(main).run()
    ((call, connect_s),) = main.calls
    assert call.upstream_model == "main-model"
    assert call.parameters == {"temperature": 0.5}
    assert connect_s == QUICK.connect_s


@pytest.mark.parametrize(("messages", "inline"), [(1, True), (LARGE_VALUES + 1, False)])
async def test_only_a_small_call_is_looked_at_at_once(
    messages: int, inline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[int] = []

    def noted(call: ModelCall, input_tokens: int) -> Needs:
        threads.append(threading.get_ident())
        return needs_of(call, input_tokens)

    monkeypatch.setattr("actors.streamer.needs_of", noted)
    play = Play(ScriptedProvider(text("a"), stop()))
    call = play.turn.request.call
    call = replace(call, messages=call.messages * messages)
    play.turn.request = replace(play.turn.request, call=call)
    assert len(await play.run()) == 3
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
async def test_when_opening_fails_the_next_route_is_asked(
    autojump_clock: MockClock, failure: UpstreamFailure, result: str, tries: int
) -> None:
    spare = ScriptedProvider(text("a"), stop(), name="spare")
    play = Play(ScriptedProvider(head=failure), spare)
    first, *rest = await play.run()
    assert isinstance(first, events.Started)
    assert first.provider == "spare"
    assert rest == [*text("a"), *stop()]
    assert play.attempts == [("main", result)] * tries + [("spare", "answered")]
    assert play.turn.cause is None


async def test_a_400_would_be_one_everywhere(autojump_clock: MockClock) -> None:
    spare = ScriptedProvider(stop(), name="spare")
    play = Play(ScriptedProvider(head=UpstreamFailure(K.REJECTED, "bad", status=400)), spare)
    assert await play.run() == []
    assert spare.calls == []
    assert play.reason is Reason.UPSTREAM_REJECTED


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
async def test_before_content_another_route_may_still_answer(
    autojump_clock: MockClock, lines: list[Line]
) -> None:
    main = ScriptedProvider(*lines)
    spare = ScriptedProvider(text("a"), stop(), name="spare")
    play = Play(main, spare)
    items = await play.run()
    assert [type(i) for i in items if isinstance(i, (events.Started, events.RouteChanged))] == [
        events.Started,
        events.RouteChanged,
    ]
    assert items[-2:] == [*text("a"), *stop()]
    assert play.turn.answered_by == play.turn.request.routes[1].route
    assert main.answer.closed == 1
    assert spare.answer.released == 1


async def test_a_change_of_route_says_why(autojump_clock: MockClock) -> None:
    play = Play(ScriptedProvider(FOREVER), ScriptedProvider(stop(), name="spare"))
    items = await play.run()
    assert events.RouteChanged("spare", "spare-model", "first_token_timeout") in items
    assert trio.current_time() == QUICK.first_token_s


async def test_when_all_routes_fail_the_last_one_tells_why(autojump_clock: MockClock) -> None:
    busy = UpstreamFailure(K.REJECTED, "busy", status=429, retry_after_s=30)
    play = Play(ScriptedProvider(head=REFUSED), ScriptedProvider(head=busy, name="spare"))
    assert await play.run() == []
    assert play.attempts == [("main", "refused")] * 2 + [("spare", "rejected")]
    assert play.turn.cause is not None
    assert play.turn.cause.reason is Reason.UPSTREAM_REJECTED
    assert play.turn.cause.error is not None
    assert play.turn.cause.error.retry_after_s == 30


async def test_one_clear_error_says_what_was_tried(autojump_clock: MockClock) -> None:
    broken = UpstreamFailure(K.SERVER_ERROR, "It is broken.", status=500)
    play = Play(ScriptedProvider(head=REFUSED), ScriptedProvider(head=broken, name="spare"))
    await play.run()
    assert play.turn.cause is not None
    assert play.turn.cause.error is not None
    assert play.turn.cause.error.message == (
        "It is broken. Tried: main/main-model: refused, 2 times;"
        " spare/spare-model: server error 500, 2 times."
    )


async def test_an_end_without_a_finish_is_a_cut(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"))
    play = Play(main)
    await play.run()
    assert play.reason is Reason.UPSTREAM_TRUNCATED
    assert play.attempts == [("main", "truncated")]
    assert (main.answer.released, main.answer.closed) == (0, 1)


@pytest.mark.parametrize(
    "after",
    [
        CUT,
        UpstreamFailure(K.IN_STREAM_ERROR, "late"),
        FOREVER,
    ],
)
async def test_a_failure_after_the_finish_is_none(autojump_clock: MockClock, after: Line) -> None:
    main = ScriptedProvider(text("a"), stop(), after)
    spare = ScriptedProvider(stop(), name="spare")
    play = Play(main, spare)
    items = await play.run()
    assert items[-1] == FinishChunk(Reason.STOP)
    assert play.turn.cause is None
    assert play.attempts == [("main", "answered")]
    assert (main.answer.released, main.answer.closed) == (0, 1)
    assert spare.calls == []


TIMEOUTS: list[tuple[float, list[Line], float, float, FailureKind]] = [
    # the head comes after; the lines; silence begins at; it may last; then it is a
    (FOREVER, [], 0, 2, K.FIRST_BYTE_TIMEOUT),
    (1.5, [FOREVER], 1.5, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [[UsageChunk(USAGE)], FOREVER], 0, 3, K.FIRST_TOKEN_TIMEOUT),
    (0.0, [2.5, text("a"), FOREVER], 2.5, 4, K.IDLE_TIMEOUT),
    (0.0, [text("a"), 3.9, text("b"), FOREVER], 3.9, 4, K.IDLE_TIMEOUT),
]


@pytest.mark.parametrize(("head", "lines", "silent_from", "may_last", "kind"), TIMEOUTS)
async def test_each_timeout_at_its_time(
    autojump_clock: MockClock,
    head: float,
    lines: list[Line],
    silent_from: float,
    may_last: float,
    kind: FailureKind,
) -> None:
    main = ScriptedProvider(*lines, head=head)
    play = Play(main)
    await play.run()
    slack = SLACK_S if kind is K.IDLE_TIMEOUT else 0
    silence = trio.current_time() - silent_from
    assert may_last <= silence + 1e-9
    assert silence <= may_last + slack + 1e-9
    assert play.attempts == [("main", kind.value)]
    assert play.reason is Reason.UPSTREAM_TIMEOUT
    assert main.opening == 0
    assert all(answer.closed == 1 for answer in main.answers)


async def test_each_attempt_has_its_own_clock(autojump_clock: MockClock) -> None:
    play = Play(
        ScriptedProvider(head=FOREVER), ScriptedProvider(1.9, text("a"), stop(), name="spare")
    )
    await play.run()
    assert play.attempts == [("main", "first_byte_timeout"), ("spare", "answered")]
    first, second = play.turn.ledger.so_far()
    assert second.started_at == first.ended_at


@pytest.mark.parametrize("at", [0.5, 1.5, 2.5])
async def test_a_cancel_leaves_nothing_open(autojump_clock: MockClock, at: float) -> None:
    """While the head is awaited, while content is awaited, and in the middle of it."""
    main = ScriptedProvider(1.0, text("a"), FOREVER, head=1.0)
    play = Play(main)
    with trio.move_on_after(at):
        await play.run()
    assert play.attempts == [("main", "cancelled")]
    assert main.opening == 0
    assert [answer.closed for answer in main.answers] == [1] * (at > 1)
    assert trio.current_time() == at


async def test_a_cancel_while_the_link_is_full_closes_and_keeps_the_batch(
    autojump_clock: MockClock,
) -> None:
    main = ScriptedProvider(text("a"), text("b"), stop())
    play = Play(main)
    play.link = Link(1)
    with trio.move_on_after(1):
        await play.streamer.run(play.link.sender)
    items = play.link.leftovers()
    assert [item for item in items if isinstance(item, TextChunk)] == main.answer.said
    assert main.answer.left == 1


async def test_a_bug_in_a_provider_is_on_record_and_goes_up(autojump_clock: MockClock) -> None:
    main = ScriptedProvider(text("a"), ValueError("bug"))
    play = Play(main)
    with pytest.raises(ValueError, match="bug"):
        await play.run()
    assert play.attempts == [("main", "crashed")]
    assert main.answer.closed == 1


async def test_the_first_content_is_noted_once(autojump_clock: MockClock) -> None:
    play = Play(ScriptedProvider(1.0, text("a"), 1.0, text("b"), stop()))
    created = play.turn.created_at
    await play.run()
    assert play.turn.first_token_at == created + 1
    assert play.turn.stage == "streaming"
