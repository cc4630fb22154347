"""What is on record of each attempt, and what of it is on the bill."""

from actors.chunks import (
    Chunk,
    FinishChunk,
    ReasoningChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.ledger import Ledger, Tally
from actors.outcome import Reason, Usage
from actors.providers.base import FailureKind, ModelCall, Route, UpstreamFailure

CALL = ModelCall(upstream_model="m", messages=[{"role": "user", "content": "hi"}], parameters={})
A, B = Route("a", "m"), Route("b", "n")


class Letters:
    """Counts a token for each letter, and twenty for every call."""

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


LETTERS = Letters()


def _usage(given: int, made: int, *, reasoning: int = 0, estimated: bool = False) -> Usage:
    return Usage(
        input_tokens=given, output_tokens=made, reasoning_tokens=reasoning, estimated=estimated
    )


def answered(ledger: Ledger, route: Route, text: str, usage: Usage | None = None) -> Tally:
    tally = cut(ledger, route, text)
    if usage is not None:
        tally.hear(UsageChunk(usage))
    tally.result = "answered"
    return tally


def cut(ledger: Ledger, route: Route, text: str) -> Tally:
    tally = ledger.begin(route, 100.0)
    tally.asked = True
    tally.kept = bool(text) and tally.hear(TextChunk(text))
    tally.fail(UpstreamFailure(FailureKind.TRUNCATED, "cut"))
    return tally


def test_what_is_content() -> None:
    tally = Ledger().begin(A, 0.0)
    content: list[Chunk] = [
        TextChunk("a"),
        RefusalChunk("b"),
        ReasoningChunk("c"),
        ToolCallChunk(0, "id", "f", "{}"),
    ]
    other: list[Chunk] = [UsageChunk(_usage(1, 2)), SkippedChunk("x"), FinishChunk(Reason.STOP)]
    assert [tally.hear(chunk) for chunk in content] == [True] * 4
    assert [tally.hear(chunk) for chunk in other] == [False] * 3
    assert (tally.said, tally.thought, tally.deltas) == (["a", "b", "{}"], ["c"], 4)
    assert (tally.finished, tally.reported) == (True, _usage(1, 2))


def test_the_providers_figures_count_zeros_too() -> None:
    ledger = Ledger()
    answered(ledger, A, "hello", _usage(0, 0))
    assert ledger.charged(CALL, LETTERS) == _usage(0, 0)


def test_without_figures_an_estimate_says_that_it_is_one() -> None:
    ledger = Ledger()
    tally = ledger.begin(A, 0.0)
    tally.asked = True
    tally.hear(TextChunk("four"))
    tally.end(1.0)
    assert tally.result == "cancelled"
    assert ledger.charged(CALL, LETTERS) == _usage(20, 4, estimated=True)


def test_nothing_is_charged_before_a_provider_began_to_answer() -> None:
    ledger = Ledger()
    ledger.begin(A, 0.0).end(1.0)
    assert ledger.charged(CALL, LETTERS) is None


def test_failed_attempts_are_on_record_and_not_on_the_bill() -> None:
    ledger = Ledger()
    cut(ledger, A, "")
    answered(ledger, B, "fine", _usage(7, 3))
    assert ledger.charged(CALL, LETTERS) == _usage(7, 3)
    first, second = ledger.records(CALL, LETTERS)
    assert (first.result, first.input_tokens, first.output_tokens) == ("truncated", 20, 0)
    assert (second.result, second.input_tokens, second.output_tokens) == ("answered", 7, 3)


def test_where_all_failed_before_content_nothing_is_charged() -> None:
    ledger = Ledger()
    cut(ledger, A, "")
    cut(ledger, B, "")
    assert ledger.charged(CALL, LETTERS) is None


def test_a_continued_answer_is_charged_once_for_what_it_shows() -> None:
    ledger = Ledger()
    cut(ledger, A, "forty")
    rest = answered(ledger, B, "forty two", _usage(90, 18))
    rest.dropped = 6
    charged = ledger.charged(CALL, LETTERS)
    assert charged == _usage(20, 5 + 6, estimated=True)
    assert rest.usage(CALL, LETTERS) == _usage(90, 18)


def test_a_continuation_that_was_held_until_its_client_left_is_not_charged() -> None:
    ledger = Ledger()
    cut(ledger, A, "forty")
    held = ledger.begin(B, 100.0)
    held.asked = held.hear(TextChunk("forty"))
    held.end(101.0)
    assert ledger.charged(CALL, LETTERS) == _usage(20, 5, estimated=True)
    assert ledger.records(CALL, LETTERS)[1].output_tokens == 5


def test_what_was_taken_back_is_not_charged() -> None:
    ledger = Ledger()
    cut(ledger, A, "gone")
    ledger.discard()
    answered(ledger, B, "all of it", _usage(9, 9))
    assert ledger.charged(CALL, LETTERS) == _usage(9, 9)


def test_a_skipped_route_is_told_with_its_reason() -> None:
    ledger = Ledger()
    ledger.skip(A, "breaker_open", 5.0)
    tally = ledger.begin(B, 6.0)
    tally.fail(UpstreamFailure(FailureKind.SERVER_ERROR, "no", status=503))
    assert ledger.tried() == ["a/m: skipped (breaker_open)", "b/n: server error 503"]
    assert ledger.charged(CALL, LETTERS) is None
    record, _ = ledger.so_far()
    assert (record.result, record.message, record.input_tokens) == ("skipped", "breaker_open", None)


def test_the_estimator_learns_what_was_visible() -> None:
    letters = Letters()
    ledger = Ledger()
    answered(ledger, A, "seen", _usage(1, 5)).teach(CALL, letters)
    hidden = answered(ledger, A, "seen", _usage(1, 30, reasoning=25))
    hidden.teach(CALL, letters)
    shown = answered(ledger, A, "seen", _usage(1, 30, reasoning=25))
    shown.hear(ReasoningChunk("aloud"))
    shown.teach(CALL, letters)
    answered(ledger, A, "seen").teach(CALL, letters)
    answers = [learnt for learnt in letters.learnt if learnt[1]]
    assert answers == [("a/m", "seen", 1, 5), ("a/m", "seen", 1, 5)]
    assert letters.learnt.count(("a/m", "", 0, 1)) == 3
