"""The gate: what passes, when, and how a model call ends. In all modes and for every cut."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from actors.accumulator import Draft
from actors.guards.gate.chain import TurnChecks, examine, make_checks
from actors.guards.gate.gate import Gate
from actors.guards.spec import (
    PASS,
    Action,
    Block,
    Check,
    GuardContext,
    GuardSpec,
    Retry,
    Rewrite,
    Scores,
    Span,
    SpanCheck,
    TextCheck,
    Verdict,
)
from actors.guards.units import SENTENCE, WORD
from actors.turn import events
from actors.turn.chunks import FinishChunk
from actors.turn.events import Blocked, Reasoning, Replace, Text, ToolCallDelta
from actors.turn.outcome import GuardMode, GuardPlan, Reason
from tests.support.sample_events import STARTED
from tests.support.turn_fakes import a_guard

STOP = FinishChunk(Reason.STOP)
CALL = ToolCallDelta(0, "a", "f", "{}")
NEUTRAL = "This answer was withheld."


def words(word: str, other: str = "-") -> SpanCheck:
    """Return a check that finds a word."""

    def find(text: str) -> list[Span]:
        found = [(begin, unit) for begin, unit in WORD.split(text) if unit.strip() == word]
        return [Span(begin, begin + len(word), other) for begin, _ in found]

    return SpanCheck(settle=WORD.settled, find=find, everywhere=True)


def sentences(word: str) -> SpanCheck:
    """Return a check that finds sentences with a word."""

    def find(text: str) -> list[Span]:
        found = [(begin, unit) for begin, unit in SENTENCE.split(text) if word in unit]
        return [Span(begin, begin + len(unit)) for begin, unit in found]

    return SpanCheck(settle=SENTENCE.settled, find=find)


def texts(judge: Callable[[str], Verdict]) -> TextCheck:
    def check(text: str, scores: Scores) -> Verdict:
        return judge(text)

    return TextCheck(check=check)


SECRET = a_guard(words("secret"), name="secret", streaming=True)
MACHINE = a_guard(sentences("machine"), name="machine", streaming=True)
BOMB = a_guard(words("bomb"), name="bomb", action=Action.BLOCK)
AGAIN = a_guard(
    words("again"), name="again", action=Action.RETRY, directive="Do better.", streaming=True
)
EMPTY = a_guard(
    texts(lambda text: PASS if text.strip() else Retry("Say something.")),
    name="empty",
    action=Action.RETRY,
)
POLITE = a_guard(texts(lambda text: Rewrite(text.replace("damn", "dear"))), name="polite")
NOTHING = a_guard(
    texts(lambda text: Block() if "hate" in text else PASS), name="nothing", action=Action.BLOCK
)
ALL = (SECRET, MACHINE, BOMB, AGAIN, EMPTY, POLITE, NOTHING)


def no_failure(guard: GuardSpec, error: Exception) -> None:
    raise AssertionError(guard.name) from error


class Call:
    """A model call through a gate, and what it recorded."""

    def __init__(
        self,
        mode: GuardMode,
        guards: Sequence[GuardSpec] = ALL,
        *,
        retries: int = 2,
        on_failure: Callable[[GuardSpec, Exception], None] = no_failure,
    ) -> None:
        specs = {guard.name: guard for guard in guards}
        plan = GuardPlan(guards=tuple(specs), mode=mode, retries=retries)
        checks = make_checks(specs, specs, GuardContext(), on_failure)
        self.verdicts: list[tuple[str, str, str]] = []
        self.gate = Gate(plan, checks, lambda text: {}, self._report, on_failure)
        self.passed: list[Draft] = []

    def _report(
        self, guard: GuardSpec | None, stage: str, finding: str, count: int, text: str
    ) -> None:
        verdict = (guard.name if guard else "chain", stage, finding)
        if verdict not in self.verdicts:
            self.verdicts.append(verdict)

    def feed(self, *drafts: Draft) -> "Call":
        if self.gate.stop is None:
            self.passed += self.gate.feed(list(drafts))
        return self

    def end(self) -> "Call":
        gate = self.gate
        if gate.stop is None:
            self.passed += gate.end()
        if gate.stop is None:
            chain = gate.last_chain
            found = examine(chain, gate.whole_text, lambda text: {}) if chain else None
            self.passed += gate.conclude(found)
        return self

    @property
    def text(self) -> str:
        return "".join(draft.delta for draft in self.passed if isinstance(draft, Text))

    @property
    def result(self) -> tuple[object, ...]:
        """Everything that must not depend on the cuts: all but the pieces of the text."""
        others = [one for one in self.passed if not isinstance(one, Text | Reasoning)]
        stop = self.gate.stop
        end = stop and (stop.guard.name, stop.directive, stop.reason)
        stored = next((one.text for one in others if isinstance(one, Replace)), self.text)
        withheld = None if stop else self.gate.withheld  # text behind a stop may not arrive
        return stored, others, end, self.verdicts, withheld


def run(mode: GuardMode, *parts: str, guards: Sequence[GuardSpec] = ALL) -> Call:
    return Call(mode, guards).feed(STARTED).feed(*map(Text, parts)).feed(STOP).end()


@pytest.mark.parametrize("mode", GuardMode)
def test_harmless_text_passes(mode: GuardMode) -> None:
    call = run(mode, "All is ", "well. And so is ", "the rest.")
    assert call.text == "All is well. And so is the rest."
    assert (call.passed[0], call.passed[-1]) == (STARTED, STOP)
    assert call.gate.withheld == 0


def test_hold_back_shows_what_is_settled() -> None:
    call = Call(GuardMode.HOLD_BACK, [SECRET])
    assert call.feed(Text("My sec")).text == "My "
    assert call.feed(Text("ret is")).text == "My - "
    assert call.feed(Text(" safe")).text == "My - is "
    assert call.feed(STOP).end().text == "My - is safe"
    assert call.verdicts == [("secret", "flow", "rewrite")]
    assert call.gate.withheld == len("secret")


def test_text_before_a_blocked_match_is_shown_and_nothing_behind_it() -> None:
    call = Call(GuardMode.HOLD_BACK, [BOMB]).feed(Text("How to bom"), Text("b it: take "))
    assert call.passed == [Text("How to "), Blocked("bomb")]
    assert call.gate.stop is not None
    assert call.gate.stop.reason is Reason.GUARD_BLOCKED
    assert call.gate.withheld == len("bomb it: take ")


@pytest.mark.parametrize("mode", [GuardMode.BUFFER_ALL, GuardMode.BUFFER_FIRST])
def test_block_of_an_unseen_answer_shows_the_neutral_text(mode: GuardMode) -> None:
    call = run(mode, "I hate ", "this.")
    assert call.passed == [STARTED, Text(NEUTRAL), Blocked("nothing")]
    assert call.gate.withheld == len("I hate this.")


@pytest.mark.parametrize("mode", [GuardMode.HOLD_BACK, GuardMode.BUFFER_FIRST])
def test_late_block_replaces_what_was_shown(mode: GuardMode) -> None:
    shown = "A long and harmless sentence. " * 4
    call = run(mode, shown, "I hate it.")
    assert call.passed[-2:] == [Replace(NEUTRAL, "nothing"), Blocked("nothing")]
    assert call.gate.withheld == len(shown + "I hate it.")


@pytest.mark.parametrize("mode", [GuardMode.HOLD_BACK, GuardMode.BUFFER_FIRST])
def test_late_rewrite_ends_with_the_content_filter(mode: GuardMode) -> None:
    shown = "A long and harmless sentence. " * 4
    call = run(mode, shown, "Oh damn.")
    last = [Replace(shown + "Oh dear.", "polite"), FinishChunk(Reason.CONTENT_FILTER)]
    assert call.passed[-2:] == last


def test_rewrite_of_an_unseen_answer_is_the_answer() -> None:
    call = run(GuardMode.BUFFER_ALL, "Oh ", "damn.")
    assert call.passed == [STARTED, Text("Oh dear."), STOP]


def test_beginning_is_shown_at_its_first_sentence() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Text("Short. But this is longer."))
    assert call.text == ""
    assert call.feed(Text(" And")).text == "Short. But this is longer. And"


def test_beginning_is_shown_after_a_hundred_characters() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Text("word " * 20))
    assert call.text == ""
    assert call.feed(Text("x")).text == "word " * 20 + "x"


def test_beginning_is_rewritten_before_it_is_shown() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Text("I am a machine, as you know. Yes "))
    assert call.feed(Text("indeed."), STOP).end().passed == [Text("Yes "), Text("indeed."), STOP]


def test_beginning_is_rewritten_up_to_the_end_of_its_sentence() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Text("As a machine I " + "really " * 20))
    assert call.text == ""
    assert call.feed(Text("know. Yes. "), STOP).end().passed == [Text("Yes. "), STOP]


def test_what_only_the_full_chain_finds_is_replaced_at_the_end() -> None:
    call = run(GuardMode.BUFFER_FIRST, "A harmless first sentence. ", "My secret is", " out.")
    assert call.text == "A harmless first sentence. My secret is out."
    new = Replace("A harmless first sentence. My - is out.", "secret")
    assert call.passed[-2:] == [new, FinishChunk(Reason.CONTENT_FILTER)]


def test_time_opens_the_gate() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Text("My secret"))
    assert call.gate.is_buffering
    assert call.gate.open_now() == [Text("My -")]
    assert not call.gate.is_buffering


def test_retry_discards_what_was_not_seen() -> None:
    call = run(GuardMode.BUFFER_FIRST, "No, ask again and you will see it. Now")
    assert call.passed == [STARTED, events.Retry("again")]
    assert call.gate.stop is not None
    assert call.gate.stop.directive == "Do better."
    assert call.verdicts == [("again", "start", "retry")]


def test_retry_after_shown_reasoning_takes_nothing_back() -> None:
    call = Call(GuardMode.BUFFER_FIRST).feed(Reasoning("Hm. "), Text("Ask again , or leave it."))
    assert call.feed(STOP).end().passed == [Reasoning("Hm. ")]
    assert call.gate.stop is not None


def test_retry_of_a_shown_answer_blocks_it() -> None:
    call = run(GuardMode.HOLD_BACK, "Well, ask again please.")
    assert call.passed == [STARTED, Text("Well, ask "), Blocked("again")]


def test_retry_after_the_state_of_hidden_reasoning_takes_nothing_back() -> None:
    state = events.ReasoningState("openai-responses", "{}")
    call = Call(GuardMode.BUFFER_FIRST).feed(state, Text("Ask again , or leave it."), STOP).end()
    assert call.passed == [state]
    assert call.gate.stop is not None


def test_phase_of_a_message_does_not_end_the_beginning() -> None:
    phase = events.MessagePhase("final_answer")
    call = Call(GuardMode.BUFFER_FIRST).feed(phase, Text("Ask again , or leave it. "), STOP).end()
    assert call.passed == [phase, events.Retry("again")]
    assert call.gate.stop is not None


def test_blocked_match_in_an_answer_without_a_sentence_is_not_sent() -> None:
    call = run(GuardMode.BUFFER_FIRST, "Take a ", "bomb now")
    assert call.passed == [STARTED, Text(NEUTRAL), Blocked("bomb")]


def test_text_that_arrives_with_a_blocked_match_stops_before_it() -> None:
    call = run(GuardMode.BUFFER_FIRST, "A harmless first sentence. And a bomb and more")
    assert "bomb" not in call.text
    assert call.passed[-2:] == [Replace(NEUTRAL, "bomb"), Blocked("bomb")]


def test_rejected_if_no_retry_is_left() -> None:
    call = Call(GuardMode.BUFFER_ALL, retries=0).feed(Text("again "), STOP).end()
    assert call.passed == [Text(NEUTRAL), Blocked("again")]
    assert call.gate.stop is not None
    assert call.gate.stop.reason is Reason.GUARD_REJECTED


def test_empty_answer_is_asked_for_again() -> None:
    call = run(GuardMode.HOLD_BACK)
    assert call.gate.stop is not None
    assert call.gate.stop.directive == "Say something."


def test_answer_of_calls_alone_is_not_empty() -> None:
    call = Call(GuardMode.HOLD_BACK).feed(CALL, STOP).end()
    assert call.passed == [CALL, STOP]


def test_cut_answer_is_not_asked_for_again() -> None:
    call = Call(GuardMode.BUFFER_ALL, [EMPTY, NOTHING]).feed(Text(" ")).end()
    assert call.passed == [Text(" ")]


@pytest.mark.parametrize("mode", [GuardMode.HOLD_BACK, GuardMode.BUFFER_FIRST])
def test_events_keep_their_place_behind_held_text(mode: GuardMode) -> None:
    call = Call(mode, [MACHINE]).feed(Reasoning("Hm. "), Text("Wait"), CALL, Text(" here."))
    order = [type(one) for one in call.feed(STOP).end().passed]
    assert order == [Reasoning, Text, ToolCallDelta, Text, FinishChunk]
    assert call.text == "Wait here."


def test_reasoning_is_checked_too() -> None:
    call = Call(GuardMode.HOLD_BACK, [SECRET]).feed(Reasoning("The sec"), Reasoning("ret key"))
    assert call.passed == [Reasoning("The - ")]
    assert call.feed(Text("Hi you")).passed == [
        Reasoning("The - "),
        Reasoning("key"),
        Text("Hi "),
    ]


def test_state_of_reasoning_that_was_changed_is_left_out() -> None:
    first, second = (events.ReasoningState("openai-chat", text) for text in ("secret key", "fine"))
    call = Call(GuardMode.HOLD_BACK, [SECRET]).feed(Reasoning("The secret key"), first)
    call.feed(Reasoning("All fine"), second, STOP).end()
    assert "secret" not in repr(call.passed)
    assert second in call.passed


def test_warnings_do_not_quote_the_answer() -> None:
    quoting = events.Warning("malformed_frame", '\'{"content": "secret\'')
    other = events.Warning("seed_ignored", "The seed was ignored.")
    call = Call(GuardMode.HOLD_BACK, [SECRET]).feed(quoting, other)
    assert "secret" not in repr(call.passed)
    assert call.passed[1:] == [other]


def test_late_rewrite_does_not_send_what_was_still_held() -> None:
    call = Call(GuardMode.HOLD_BACK, [POLITE, MACHINE]).feed(Text("First one. And damn"))
    assert call.text == "First one. "
    call.feed(STOP).end()
    assert call.text == "First one. "
    assert call.passed[-2:] == [
        Replace("First one. And dear", "polite"),
        FinishChunk(Reason.CONTENT_FILTER),
    ]


def test_rewrite_of_text_behind_a_call_is_not_late() -> None:
    call = Call(GuardMode.HOLD_BACK, [POLITE, MACHINE]).feed(CALL, Text("And damn"), STOP).end()
    assert call.passed == [CALL, Text("And dear"), STOP]


def test_restart_by_the_streamer_forgets_the_held_text() -> None:
    call = Call(GuardMode.BUFFER_ALL).feed(Text("old secret"), events.Retry("cut"), Text("new"))
    assert call.feed(STOP).end().text == "new"
    assert call.gate.withheld == 0


def test_logprobs_are_left_out_with_one_warning() -> None:
    call = Call(GuardMode.HOLD_BACK, [SECRET]).feed(Text("a ", "{}"), Text("b ", "{}"))
    assert [type(one) for one in call.passed] == [events.Warning, Text]


def broken(text: str) -> list[Span]:
    raise ValueError(text)


def finding(*spans: Span) -> SpanCheck:
    return SpanCheck(settle=WORD.settled, find=lambda text: list(spans))


FLAWED: list[Check] = [
    finding(Span(-1, 2)),
    finding(Span(2, 1000)),
    finding(Span(2, 2)),
    finding(Span(0, 3), Span(2, 4)),
    finding(Span(2, 4), Span(0, 1)),
    SpanCheck(settle=lambda text: len(text) + 1, find=lambda text: []),
    SpanCheck(settle=lambda text: -1, find=lambda text: []),
    SpanCheck(settle=WORD.settled, find=broken),
    SpanCheck(settle=broken, find=lambda text: []),  # type: ignore[arg-type]  # it raises
    texts(lambda text: Rewrite(str(broken(text)))),
]


@pytest.mark.parametrize("check", FLAWED)
@pytest.mark.parametrize("action", [Action.BLOCK, Action.REWRITE, Action.RETRY])
def test_guard_that_raises_blocks_if_it_can_block(check: Check, action: Action) -> None:
    failed: list[str] = []
    flawed = a_guard(check, name="flawed", action=action)
    call = Call(
        GuardMode.BUFFER_ALL, [flawed], on_failure=lambda guard, _: failed.append(guard.name)
    )
    call.feed(Text("some text ")).feed(STOP).end()
    assert set(failed) == {"flawed"}
    assert (call.text == NEUTRAL) == (action is Action.BLOCK)
    assert (call.text == "some text ") == (action is not Action.BLOCK)


def test_guard_that_cannot_be_made_blocks_if_it_can_block() -> None:
    def make(context: GuardContext) -> Check | None:
        raise ValueError

    failed: list[str] = []
    flawed = replace(BOMB, make=make)
    checks = make_checks(["bomb"], {"bomb": flawed}, GuardContext(), lambda g, _: failed.append(""))
    found = examine(checks.all, "text", lambda text: {})
    assert (failed, found.stopped_by) == ([""], flawed)
    opened = make_checks(
        ["x"], {"x": replace(SECRET, make=make)}, GuardContext(), lambda g, _: None
    )
    assert opened == TurnChecks()


PIECES = st.sampled_from(
    ["secret", "bomb", "again", "machine", "damn", "hate", "word", " ", ". ", "\n", "x"]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join)


def cut(text: str, cuts: list[int]) -> list[str]:
    places = sorted({place % (len(text) + 1) for place in cuts} | {0, len(text)})
    return [text[begin:end] for begin, end in pairwise(places)]


@pytest.mark.parametrize("mode", GuardMode)
@settings(max_examples=200)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 400)), chosen=st.sets(st.sampled_from(ALL)))
def test_verdicts_do_not_depend_on_the_cuts(
    mode: GuardMode, text: str, cuts: list[int], chosen: set[GuardSpec]
) -> None:
    guards = [guard for guard in ALL if guard in chosen]
    whole = run(mode, text, guards=guards)
    pieces = run(mode, *cut(text, cuts), guards=guards)
    assert pieces.result == whole.result


@settings(max_examples=200)
@given(text=TEXTS, cuts=st.lists(st.integers(0, 400)))
def test_matches_are_never_sent_in_hold_back(text: str, cuts: list[int]) -> None:
    call = run(GuardMode.HOLD_BACK, *cut(text, cuts), guards=[SECRET, BOMB])
    words_shown = call.text.split()
    assert "secret" not in words_shown
    assert "bomb" not in words_shown


KINDS = st.sampled_from([Text, Reasoning, events.Refusal])
OTHERS = st.sampled_from(
    [
        CALL,
        events.ReasoningState("a", "{}"),
        events.MessagePhase("final_answer"),
        events.Annotation("{}"),
        events.NativeItem("a", "{}"),
    ]
)
RUNS = st.tuples(KINDS, st.lists(PIECES, min_size=1, max_size=6).map("".join))


def joined(drafts: list[Draft]) -> list[Draft]:
    """Return the drafts with neighbouring pieces of the same kind as one."""
    whole: list[Draft] = []
    for draft in drafts:
        last = whole[-1] if whole else None
        match last, draft:
            case (Text(one), Text(other)):
                whole[-1] = Text(one + other)
            case (Reasoning(one), Reasoning(other)):
                whole[-1] = Reasoning(one + other)
            case (events.Refusal(one), events.Refusal(other)):
                whole[-1] = events.Refusal(one + other)
            case _:
                whole.append(draft)
    return whole


@pytest.mark.parametrize("mode", [GuardMode.HOLD_BACK, GuardMode.BUFFER_ALL])
@settings(max_examples=300)
@given(
    runs=st.lists(RUNS | OTHERS, max_size=8),
    cuts=st.lists(st.integers(0, 40)),
    batches=st.lists(st.integers(1, 5), min_size=1),
    chosen=st.sets(st.sampled_from(ALL)),
)
def test_drafts_of_all_kinds_do_not_depend_on_cuts_and_batches(
    mode: GuardMode,
    runs: list[tuple[type[Text], str] | Draft],
    cuts: list[int],
    batches: list[int],
    chosen: set[GuardSpec],
) -> None:
    guards = [guard for guard in ALL if guard in chosen]
    whole, pieces = Call(mode, guards), Call(mode, guards)
    drafts: list[Draft] = []
    for run in runs:
        if isinstance(run, tuple):
            kind, text = run
            drafts += map(kind, cut(text, cuts))
        else:
            drafts.append(run)
    for draft in joined(drafts):
        whole.feed(draft)
    at = 0
    for size in batches * len(drafts):
        pieces.feed(*drafts[at : at + size])
        at += size
    for call in (whole, pieces):
        call.feed(STOP).end()
    assert joined(pieces.passed) == joined(whole.passed)
    assert pieces.verdicts == whole.verdicts
    assert pieces.gate.stop == whole.gate.stop


@pytest.mark.parametrize(("guard", "replaced"), [(NOTHING, True), (POLITE, False)])
def test_shown_part_that_was_not_checked_is_withdrawn_if_a_guard_can_block(
    guard: GuardSpec, replaced: bool
) -> None:
    call = Call(GuardMode.BUFFER_FIRST, [guard]).feed(Text("A whole sentence, shown. And more"))
    expected = [Replace(NEUTRAL, "chain")] if replaced else []
    assert call.gate.unchecked_part() == expected
