"""Chain: the guards of a turn in their order, applied to a whole text. Pure."""

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from msgspec import Struct

from actors.guards.gate.scanner import ActiveCheck, OnFailure
from actors.guards.prose import Sentence, sentences, spans
from actors.guards.spec import (
    Action,
    Block,
    GuardContext,
    GuardSpec,
    Pass,
    Retry,
    Rewrite,
    Scores,
    Span,
    SpanCheck,
    TextCheck,
    Verdict,
)


class ActiveTextCheck(Struct, frozen=True):
    """A text check of this turn with its guard and its place in the chain."""

    rank: int
    guard: GuardSpec
    check: TextCheck


AnyCheck = ActiveCheck | ActiveTextCheck


class TurnChecks(Struct, frozen=True):
    """The checks of one turn; it has none for guards that could not find anything."""

    spans: tuple[ActiveCheck, ...] = ()
    texts: tuple[ActiveTextCheck, ...] = ()

    @property
    def everywhere(self) -> tuple[ActiveCheck, ...]:
        """The checks that also look at reasoning and refusals."""
        return tuple(one for one in self.spans if one.check.everywhere)

    @property
    def blocking(self) -> tuple[ActiveCheck, ...]:
        """The span checks that end an answer."""
        return tuple(one for one in self.spans if one.guard.action is Action.BLOCK)

    @property
    def all(self) -> tuple[AnyCheck, ...]:
        """All checks in the order of the chain."""
        return tuple(sorted((*self.spans, *self.texts), key=lambda one: one.rank))

    @property
    def streaming(self) -> tuple[AnyCheck, ...]:
        """The checks of the beginning of an answer, in the order of the chain.

        Those that block are among them, because they come too late after it was shown.
        """
        blocks = Action.BLOCK
        return tuple(one for one in self.all if one.guard.streaming or one.guard.action is blocks)


def make_checks(
    names: Iterable[str],
    guards: Mapping[str, GuardSpec],
    context: GuardContext,
    on_failure: OnFailure,
) -> TurnChecks:
    """Return the checks of the named guards. One whose `make` raises blocks, or is left out."""
    spans: list[ActiveCheck] = []
    texts: list[ActiveTextCheck] = []
    for rank, name in enumerate(names):
        guard = guards[name]
        try:
            check = guard.make(context)
        except Exception as error:
            on_failure(guard, error)
            check = TextCheck(check=_block) if guard.action is Action.BLOCK else None
        if isinstance(check, SpanCheck):
            spans.append(ActiveCheck(rank, guard, check))
        elif check is not None:
            texts.append(ActiveTextCheck(rank, guard, check))
    return TurnChecks(tuple(spans), tuple(texts))


def _block(text: str, scores: Scores) -> Verdict:
    return Block()


class Examination(Struct, frozen=True):
    """The result of a chain: the text that it leaves, or the guard that stopped it."""

    text: str
    """The text, with what guards rewrote."""
    rewritten: tuple[tuple[GuardSpec, int], ...] = ()
    """The guards that rewrote it, each with the number of pieces."""
    stopped_by: GuardSpec | None = None
    directive: str | None = None
    """Instruction to the model for its next answer; None if the guard blocks."""
    failures: tuple[tuple[GuardSpec, Exception], ...] = ()


def examine(
    chain: Iterable[AnyCheck], text: str, scores_of: Callable[[str], Scores]
) -> Examination:
    """Run the chain on a text; it stops at a guard that wants a retry or blocks.

    Free of side effects, so that it can run in a thread. `scores_of` is called once per text.
    """
    rewritten: list[tuple[GuardSpec, int]] = []
    failures: list[tuple[GuardSpec, Exception]] = []
    scores, prose = scores_of(text), _Prose(text)
    stopped_by, directive = None, None
    for one in chain:
        try:
            verdict, count = _verdict(one, text, scores, prose)
        except Exception as error:
            failures.append((one.guard, error))
            verdict, count = (Block() if one.guard.action is Action.BLOCK else Pass()), 1
        match verdict:
            case Rewrite(new) if new != text:
                text, scores, prose = new, scores_of(new), _Prose(new)
                rewritten.append((one.guard, count))
            case Retry(wanted):
                stopped_by, directive = one.guard, wanted
                break
            case Block():
                stopped_by = one.guard
                break
    return Examination(text, tuple(rewritten), stopped_by, directive, tuple(failures))


class _Prose:
    """The sentences of a text, which are found once for all guards."""

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def sentences(self) -> list[Sentence]:
        return sentences(self._text)[0]


def _verdict(one: AnyCheck, text: str, scores: Scores, prose: _Prose) -> tuple[Verdict, int]:
    if isinstance(one, ActiveTextCheck):
        return one.check.check(text, scores), 1
    check = one.check
    found = spans(check.find, prose.sentences) if check.prose else check.find(text)
    if not found:
        return Pass(), 0
    match one.guard.action:
        case Action.REWRITE:
            return Rewrite(replaced(text, found)), len(found)
        case Action.RETRY:
            return Retry(one.guard.directive), len(found)
        case Action.BLOCK:
            return Block(), len(found)


def replaced(text: str, found: list[Span]) -> str:
    """Return the text with its spans replaced."""
    parts: list[str] = []
    at = 0
    for span in found:
        parts += [text[at : span.begin], span.replacement]
        at = span.end
    return "".join(parts) + text[at:]
