"""Tests of steps: recorded attempts and charged usage."""

from actors.turn.chat_messages import read_messages
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import FailureKind, ModelCall, Route, UpstreamFailure
from actors.turn.outcome import Price, Reason, Usage
from actors.turn.step import AttemptUsage, Step, charged, tried

CALL = ModelCall(
    upstream_model="m", messages=read_messages([{"role": "user", "content": "hi"}]), parameters={}
)
A, B = Route("a", "m"), Route("b", "n")


class LetterEstimates:
    """Estimates of one token per letter and 20 per call."""

    def __init__(self) -> None:
        self.learnt: list[tuple[str, str, int, int]] = []

    def estimate(self, model: str, text: str, deltas: int) -> int:
        return len(text)

    def estimate_input(self, model: str, call: ModelCall) -> int:
        return 20

    def learn(self, model: str, text: str, deltas: int, tokens: int) -> None:
        self.learnt.append((model, text, deltas, tokens))

    def learn_input(self, model: str, call: ModelCall, tokens: int) -> None:
        self.learnt.append((model, "", 0, tokens))


ESTIMATES = LetterEstimates()


def _usage(given: int, made: int, *, reasoning: int = 0, estimated: bool = False) -> Usage:
    return Usage(
        input_tokens=given, output_tokens=made, reasoning_tokens=reasoning, estimated=estimated
    )


def answered(step: Step, route: Route, text: str, usage: Usage | None = None) -> AttemptUsage:
    attempt = cut(step, route, text)
    if usage is not None:
        attempt.add_chunk(UsageChunk(usage))
    attempt.result = "answered"
    return attempt


def cut(step: Step, route: Route, text: str) -> AttemptUsage:
    attempt = step.begin(route, 100.0)
    attempt.responded = True
    attempt.kept = bool(text) and attempt.add_chunk(TextChunk(text))
    attempt.fail(UpstreamFailure(FailureKind.TRUNCATED, "cut"))
    return attempt


def test_content_chunks_are_recognised() -> None:
    attempt = Step(1, CALL).begin(A, 0.0)
    content: list[Chunk] = [
        TextChunk("a"),
        RefusalChunk("b"),
        ReasoningChunk("c"),
        ToolCallChunk(0, "id", "f", "{}"),
    ]
    other: list[Chunk] = [UsageChunk(_usage(1, 2)), SkippedChunk("x"), FinishChunk(Reason.STOP)]
    assert [attempt.add_chunk(chunk) for chunk in content] == [True] * 4
    assert [attempt.add_chunk(chunk) for chunk in other] == [False] * 3
    assert (attempt.output, attempt.reasoning, attempt.deltas) == (["a", "b", "{}"], ["c"], 4)
    assert (attempt.finished, attempt.reported) == (True, _usage(1, 2))


def test_reported_usage_is_charged_even_if_zero() -> None:
    step = Step(1, CALL)
    answered(step, A, "hello", _usage(0, 0))
    assert step.charged(ESTIMATES) == _usage(0, 0)


def test_usage_before_content_that_follows_a_finish_is_not_final() -> None:
    step = Step(1, CALL)
    attempt = step.begin(A, 0.0)
    attempt.responded = True
    chunks: list[Chunk] = [TextChunk("four"), UsageChunk(_usage(7, 1)), FinishChunk(Reason.STOP)]
    for chunk in chunks:
        attempt.add_chunk(chunk)
    assert attempt.complete
    assert step.charged(ESTIMATES) == _usage(7, 1)
    attempt.add_chunk(TextChunk("more"))
    assert (attempt.finished, attempt.complete) == (True, False)
    assert step.charged(ESTIMATES) == _usage(7, 8, estimated=True)


def test_estimated_usage_is_marked() -> None:
    step = Step(1, CALL)
    attempt = step.begin(A, 0.0)
    attempt.responded = True
    attempt.add_chunk(TextChunk("four"))
    attempt.end(1.0)
    assert attempt.result == "cancelled"
    assert step.charged(ESTIMATES) == _usage(20, 4, estimated=True)


def test_nothing_is_charged_before_a_provider_answers() -> None:
    step = Step(1, CALL)
    step.begin(A, 0.0).end(1.0)
    assert step.charged(ESTIMATES) is None


def test_failed_attempts_are_recorded_but_not_charged() -> None:
    step = Step(1, CALL)
    cut(step, A, "")
    answered(step, B, "fine", _usage(7, 3))
    assert step.charged(ESTIMATES) == _usage(7, 3)
    first, second = step.record(ESTIMATES, Price()).attempts
    assert (first.result, first.input_tokens, first.output_tokens) == ("truncated", 20, 0)
    assert (second.result, second.input_tokens, second.output_tokens) == ("answered", 7, 3)


def test_nothing_is_charged_if_all_fail_before_content() -> None:
    step = Step(1, CALL)
    cut(step, A, "")
    cut(step, B, "")
    assert step.charged(ESTIMATES) is None


def test_continued_answer_is_charged_once_for_its_shown_text() -> None:
    step = Step(1, CALL)
    cut(step, A, "forty")
    rest = answered(step, B, "forty two", _usage(90, 18))
    rest.dropped = 6
    assert step.charged(ESTIMATES) == _usage(20, 5 + 6, estimated=True)
    assert rest.usage(CALL, ESTIMATES) == _usage(90, 18)


def test_continuation_held_until_disconnect_is_not_charged() -> None:
    step = Step(1, CALL)
    cut(step, A, "forty")
    held = step.begin(B, 100.0)
    held.responded = held.add_chunk(TextChunk("forty"))
    held.end(101.0)
    assert step.charged(ESTIMATES) == _usage(20, 5, estimated=True)
    assert step.record(ESTIMATES, Price()).attempts[1].output_tokens == 5


def test_discarded_output_is_not_charged() -> None:
    step = Step(1, CALL)
    cut(step, A, "gone")
    step.discard()
    answered(step, B, "all of it", _usage(9, 9))
    assert step.charged(ESTIMATES) == _usage(9, 9)


def test_skipped_route_is_listed_with_its_reason() -> None:
    step = Step(1, CALL)
    step.skip(A, "breaker_open", 5.0)
    attempt = step.begin(B, 6.0)
    attempt.fail(UpstreamFailure(FailureKind.SERVER_ERROR, "no", status=503))
    assert tried([step]) == ["a/m: skipped (breaker_open)", "b/n: server error 503"]
    assert step.charged(ESTIMATES) is None
    record, _ = step.current_records(Price())
    assert (record.result, record.message, record.input_tokens) == ("skipped", "breaker_open", None)


def test_estimator_learns_from_visible_output() -> None:
    estimates = LetterEstimates()
    step = Step(1, CALL)
    answered(step, A, "seen", _usage(1, 5)).teach(CALL, estimates)
    hidden = answered(step, A, "seen", _usage(1, 30, reasoning=25))
    hidden.teach(CALL, estimates)
    shown = answered(step, A, "seen", _usage(1, 30, reasoning=25))
    shown.add_chunk(ReasoningChunk("aloud"))
    shown.teach(CALL, estimates)
    answered(step, A, "seen").teach(CALL, estimates)
    answers = [learnt for learnt in estimates.learnt if learnt[1]]
    assert answers == [("a/m", "seen", 1, 5), ("a/m", "seen", 1, 5)]
    assert estimates.learnt.count(("a/m", "", 0, 1)) == 3


def two_steps() -> tuple[Step, Step]:
    """Return a step that calls a tool and one that fails over to another route."""
    first, second = Step(1, CALL), Step(2, CALL)
    answered(first, A, "call", _usage(7, 3, reasoning=1))
    first.finish = Reason.TOOL_CALLS
    cut(second, A, "")
    answered(second, B, "fine")
    second.finish = Reason.STOP
    return first, second


def test_usage_of_steps_is_added_up() -> None:
    expected = _usage(7 + 20, 3 + 4, reasoning=1, estimated=True)
    assert charged(two_steps(), ESTIMATES) == expected
    assert charged((), ESTIMATES) is None


def test_attempts_of_all_steps_are_listed() -> None:
    assert tried(two_steps()) == ["a/m: answered", "a/m: truncated", "b/n: answered"]


def test_record_of_a_step_has_its_number_finish_and_times() -> None:
    step = two_steps()[1]
    step.attempts[-1].end(105.0)
    record = step.record(ESTIMATES, Price())
    assert (record.number, record.finish) == (2, "stop")
    assert (record.started_at, record.ended_at) == (100.0, 105.0)
    assert [attempt.number for attempt in record.attempts] == [1, 2]
