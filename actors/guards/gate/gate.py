"""Gate: decides which drafts of an answer may pass its guards, and when. Pure.

It keeps the order of the drafts: what stands behind held text waits with it. Only `started`,
changes of the route and warnings pass at once. What is decided depends on the text and not on the
pieces in which it arrives, but for text that `buffer_first` shows because its time is over.
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from actors.accumulator import Draft
from actors.guards.gate.chain import AnyCheck, Examination, TurnChecks, examine
from actors.guards.gate.channel import Channel
from actors.guards.gate.flow import Flow, Report
from actors.guards.gate.scanner import Found, OnFailure
from actors.guards.spec import Action, GuardSpec, Scores
from actors.guards.units import LONGEST, SENTENCE
from actors.turn import events
from actors.turn.chunks import FinishChunk
from actors.turn.events import Reasoning, Refusal, Text
from actors.turn.outcome import GuardMode, GuardPlan, Reason, Stage

FIRST_CHARS = 100
"""Characters after which the beginning of an answer is checked at the latest."""
_LEAST_CHARS = 20
"""Fewest characters of a first sentence that is checked on its own."""
_AT_ONCE = (events.Started, events.RouteChanged, events.Warning)
_NO_LOGPROBS = events.Warning(
    "logprobs_left_out", "The logprobs are left out, because guards check the text."
)


class Stop(Struct, frozen=True):
    """The end of a model call by a guard."""

    guard: GuardSpec
    directive: str | None = None
    """Instruction to the model for its next answer; None if the turn ends for `reason`."""
    reason: Reason = Reason.GUARD_BLOCKED


ScoresOf = Callable[[str], Scores]


class Gate:
    """The drafts of one model call. Once `stop` is set, the call is over: feed it no more.

    At the end of the drafts call `end`, then examine `whole_text` with `last_chain`, and then call
    `conclude`.
    """

    def __init__(
        self,
        plan: GuardPlan,
        checks: TurnChecks,
        scores_of: ScoresOf,
        report: Report,
        on_failure: OnFailure,
    ) -> None:
        self._plan = plan
        self._mode = plan.mode
        self._checks = checks
        self._scores_of = scores_of
        self._report = report
        self._on_failure = on_failure
        self.stop: Stop | None = None
        self._finish: FinishChunk | None = None
        self._logprobs_noted = False
        self._begin()

    def _begin(self) -> None:
        self._flow = Flow(self._mode, self._checks, self._report, self._on_failure)
        self._written: list[str] = []
        """The text as the model wrote it; only for `buffer_first`."""
        self._is_long = False
        """True if the beginning ends with a whole sentence, however long."""
        self._has_text = False
        """True if some of the text had passed before the end."""
        self._has_other = False
        """True if the answer has anything but text and reasoning."""
        self._is_replaced = False
        """True if nothing of the text counts as shown."""
        self._tail: list[Draft] = []
        """Drafts that pass at the end, if the whole text is fine."""

    @property
    def is_buffering(self) -> bool:
        """True if `buffer_first` holds text, for which it has limited time."""
        first = self._mode is GuardMode.BUFFER_FIRST
        return first and not self._flow.is_open and self._flow.text.size > 0

    @property
    def held(self) -> int:
        """Number of characters that have not passed yet."""
        return self._flow.held

    @property
    def withheld(self) -> int:
        """Number of characters of the answer that did not pass as they were written."""
        total = self._flow.text.released - self._flow.text.withheld if self._is_replaced else 0
        for channel in self._flow.channels:
            total += channel.size - channel.released + channel.withheld
        return total

    def feed(self, drafts: list[Draft]) -> list[Draft]:
        """Add drafts and return those that pass now; `stop` may be set then."""
        passed: list[Draft] = []
        for draft in drafts:
            kind = type(draft)
            if kind is Text:
                self._add_text(draft, passed)  # type: ignore[arg-type]  # kind is its type
            elif isinstance(draft, _AT_ONCE):
                passed.append(_without_quotation(draft))
            else:
                self._add_other(draft, passed)
            if self.stop is not None:
                return passed
        self._release(passed)
        return passed

    def _add_text(self, text: Text, passed: list[Draft]) -> None:
        if text.logprobs is not None and not self._logprobs_noted:
            self._logprobs_noted = True
            passed.append(_NO_LOGPROBS)
        self._flow.add_text(Text, text.delta)
        if self._mode is GuardMode.BUFFER_FIRST:
            self._written.append(text.delta)
            if not self._flow.is_open:
                self._open_if_due(passed)

    def _add_other(self, draft: Draft, passed: list[Draft]) -> None:
        match draft:
            case FinishChunk():
                self._finish = draft
            case Reasoning(delta):
                self._flow.add_text(Reasoning, delta)
            case events.Retry():
                self._begin()
                passed.append(draft)
            case events.ReasoningState():
                self._flow.add(draft)
            case events.MessagePhase() if not self._flow.text.size:
                self._flow.add(draft)
            case Refusal(delta):
                self._has_other = True
                self._end_first_part(passed)
                self._flow.add_text(Refusal, delta)
            case _:
                self._has_other = True
                self._end_first_part(passed)
                self._flow.add(draft)

    def _end_first_part(self, passed: list[Draft]) -> None:
        """Open the gate of `buffer_first` before an event that is not text."""
        if self._mode is GuardMode.BUFFER_FIRST and not self._flow.is_open and self.stop is None:
            self._open(self._flow.text.size, passed)

    def open_now(self) -> list[Draft]:
        """Check what `buffer_first` holds because its time is over, and return what passes."""
        passed: list[Draft] = []
        self._open(self._flow.text.size, passed)
        if self.stop is None:
            self._release(passed)
        return passed

    def _open_if_due(self, passed: list[Draft]) -> None:
        text, most = self._flow.text.held(), LONGEST if self._is_long else FIRST_CHARS
        end = SENTENCE.first_end(text, _LEAST_CHARS, most)
        if end == FIRST_CHARS and not self._is_long:
            # If the beginning of a sentence is wrong, all of it may be.
            found = examine(self._checks.streaming, text[:end], self._scores_of)
            self._is_long = bool(found.rewritten)
            end = SENTENCE.first_end(text, _LEAST_CHARS, LONGEST) if self._is_long else end
        if end is not None:
            self._open(end, passed)

    def _open(self, end: int, passed: list[Draft]) -> None:
        """Check the text up to `end`, which is the beginning of the answer, and let it pass."""
        self._release(passed)  # drafts before the text
        if self.stop is not None:
            return
        self._flow.is_open = True
        if not end:
            return
        text = self._flow.text.held()[:end]
        found = examine(self._checks.streaming, text, self._scores_of)
        if not self._accept(found, "start", text, passed):
            return
        self._flow.text.take(end, as_written=True)
        if found.text:
            self._flow.shown.append(found.text)
            self._flow.has_content = True
            passed.append(Text(found.text))
        if found.rewritten:
            self._flow.text.withheld += end

    def _accept(self, found: Examination, stage: Stage, text: str, passed: list[Draft]) -> bool:
        """Report the verdicts on a text; return False if the call is over."""
        for guard, error in found.failures:
            self._on_failure(guard, error)
        for guard, count in found.rewritten:
            self._report(guard, stage, "rewrite", count, text)
        if found.stopped_by is not None:
            self._end_by(found.stopped_by, found.directive, stage, text, passed)
            return False
        if not found.rewritten:
            self._report(None, stage, "pass", 1, "")
        return True

    def _release(self, passed: list[Draft]) -> None:
        """Append what may pass now, and end the call at the first span that demands it."""
        self._flow.release(passed)
        self._stop_if_due(passed)

    def _stop_if_due(self, passed: list[Draft]) -> None:
        flow = self._flow
        if self._mode is GuardMode.BUFFER_FIRST and flow.is_open and flow.text.stop is not None:
            self._end_by_span(flow.text, flow.text.stop, "end", passed)
        elif (found := flow.first_stop()) is not None:
            self._end_by_span(*found, "flow", passed)

    def _end_by_span(
        self, channel: Channel, span: Found, stage: Stage, passed: list[Draft]
    ) -> None:
        retry = span.guard.action is Action.RETRY
        directive = span.guard.directive if retry else None
        self._end_by(span.guard, directive, stage, channel.held(), passed)

    def _end_by(
        self,
        guard: GuardSpec,
        directive: str | None,
        stage: Stage,
        text: str,
        passed: list[Draft],
    ) -> None:
        """End the call: the model answers again if it can, or else the turn ends."""
        unseen = not self._flow.has_content
        if directive is not None and unseen and self._plan.retries:
            self._report(guard, stage, "retry", 1, text)
            if not self._flow.has_reasoning:
                passed.append(events.Retry(guard.name))
            self.stop = Stop(guard, directive)
            return
        self._report(guard, stage, "block", 1, text)
        reason = Reason.GUARD_BLOCKED
        if unseen:
            passed.append(Text(self._plan.neutral_text))
            reason = Reason.GUARD_REJECTED if directive is not None else reason
        elif stage != "flow":
            passed.append(events.Replace(self._plan.neutral_text, guard.name))
        self._is_replaced = unseen or stage != "flow"
        passed.append(events.Blocked(guard.name))
        self.stop = Stop(guard, None, reason)

    def end(self) -> list[Draft]:
        """End the drafts; return the last ones if that sets `stop`, else keep them for the end."""
        seen, tail = self._flow.has_content, list[Draft]()
        self._has_text = bool(self._flow.shown)
        for channel in self._flow.channels:
            channel.end()
        if self._mode is GuardMode.BUFFER_FIRST:
            self._flow.text.stop = None  # the examination of the whole text decides
        if not self._flow.is_open:
            self._stop_if_due(tail)
            self._flow.is_open = True
        if self.stop is None:
            self._release(tail)
        if self.stop is not None:
            return tail
        self._tail, self._flow.has_content = tail, seen
        return []

    @property
    def last_chain(self) -> tuple[AnyCheck, ...]:
        """The checks of the whole text that are left to do at the end."""
        if self._has_other and not self._flow.text.size:
            return ()
        return self._whole_chain if self._finish is not None else self.chain_of_a_part

    @property
    def _whole_chain(self) -> tuple[AnyCheck, ...]:
        first = self._mode is GuardMode.BUFFER_FIRST
        return self._checks.all if first else self._checks.texts

    @property
    def chain_of_a_part(self) -> tuple[AnyCheck, ...]:
        """The checks of the shown part of an answer: it is not worse for what it lacks."""
        if self._is_replaced:
            return ()
        return tuple(one for one in self._whole_chain if one.guard.action is not Action.RETRY)

    def conclude_part(self, text: str, found: Examination) -> list[Draft]:
        """Return what replaces the shown text of an answer that was cut off, if anything does."""
        passed: list[Draft] = []
        self._flow.has_content = True
        if self._accept(found, "end", text, passed) and found.rewritten:
            self._is_replaced = True
            passed.append(events.Replace(found.text, found.rewritten[-1][0].name))
        return passed

    def unchecked_part(self) -> list[Draft]:
        """Return what replaces a shown text that could not be checked: guards that block may."""
        if all(one.guard.action is not Action.BLOCK for one in self.chain_of_a_part):
            return []
        self._is_replaced = True
        return [events.Replace(self._plan.neutral_text, "chain")]

    @property
    def whole_text(self) -> str:
        """The text of the answer for `last_chain`, after `end`."""
        return "".join(self._written if self._mode is GuardMode.BUFFER_FIRST else self._flow.shown)

    def conclude(self, found: Examination | None) -> list[Draft]:
        """Return the last drafts, given what was found in the whole text; `stop` may be set."""
        passed: list[Draft] = []
        text = self.whole_text
        if found is not None:
            if not self._accept(found, "end", text, passed):
                return passed
            text = found.text
        finish = self._finish
        if text == "".join(self._flow.shown):
            passed += self._tail
        elif self._has_text:
            # Too late for the client, which has seen most of it; what is stored is still right.
            name = found.rewritten[-1][0].name if found and found.rewritten else "chain"
            passed += [draft for draft in self._tail if not isinstance(draft, Text)]
            passed.append(events.Replace(text, name))
            finish = finish and replace(finish, reason=Reason.CONTENT_FILTER)
            self._is_replaced = True
        else:
            passed += _with_text(self._tail, text)
            self._is_replaced = True
        return passed if finish is None else [*passed, finish]


def _without_quotation(draft: Draft) -> Draft:
    """Return the draft, but for the quotation in a warning about a malformed part of the answer."""
    if isinstance(draft, events.Warning) and draft.code == "malformed_frame":
        return replace(draft, message="A malformed part of the answer was skipped.")
    return draft


def _with_text(drafts: list[Draft], text: str) -> list[Draft]:
    """Return the drafts with this text in the place of their first text, and no other."""
    first = next((n for n, draft in enumerate(drafts) if isinstance(draft, Text)), len(drafts))
    before, after = drafts[:first], drafts[first:]
    rest = [draft for draft in after if not isinstance(draft, Text)]
    return [*before, Text(text), *rest] if text else [*before, *rest]
