"""Vocabulary of output guards: what they look at, what they can find, and what follows from it.

A guard is a `GuardSpec` with a line in `web.registry`. It makes one check per turn, from
what the turn's guards may know (`GuardContext`). A check is a pure object of one of two kinds:

- A `SpanCheck` finds pieces of the text. It works while the text flows, because it tells which
  part of the text no later text can change the result for.
- A `TextCheck` judges a whole text: the first part of an answer, or all of it.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum

from msgspec import Struct


class Action(StrEnum):
    """The most that a guard does to an answer."""

    REWRITE = "rewrite"
    RETRY = "retry"
    BLOCK = "block"


class Pass(Struct, frozen=True, tag=True):
    """Nothing is wrong with the text."""


class Rewrite(Struct, frozen=True, tag=True):
    """The text has to be replaced by `text`."""

    text: str


class Retry(Struct, frozen=True, tag=True):
    """The model has to answer again. `directive` tells it what to do better, in one sentence."""

    directive: str


class Block(Struct, frozen=True, tag=True):
    """Nothing of the text may be shown."""


Verdict = Pass | Rewrite | Retry | Block
PASS = Pass()


class Span(Struct, frozen=True, order=True):
    """A piece of text from `begin` to before `end` that a guard objects to.

    A guard whose action is `REWRITE` shows `replacement` instead of it.
    """

    begin: int
    end: int
    replacement: str = ""


def in_order(spans: list[Span], size: int) -> list[Span]:
    """Return the spans of a text of `size`. Raises `ValueError` if they break the contract."""
    end = 0
    for span in spans:
        if not end <= span.begin < span.end <= size:
            raise ValueError("spans must be in order, not empty, apart, and within the text")
        end = span.end
    return spans


class Meaning(StrEnum):
    """A meaning of a text, however it is worded; see `actors.guards.wording.semantics`."""

    NARRATED_DELEGATION = "narrated_delegation"
    CAPABILITY_DENIAL = "capability_denial"
    TASK_DEFERRAL = "task_deferral"
    FALSE_COMPLETION = "false_completion"
    FINANCIAL_CLAIM = "financial_claim"


Scores = Mapping[Meaning, float]
"""Similarity of a text to each meaning, from 0 to 1; computed once per text for all guards."""


class GuardContext(Struct, frozen=True, kw_only=True):
    """The facts about a turn that its guards may use."""

    question: str = ""
    """Text of the newest message of the user."""
    system: str = ""
    """The system prompt."""
    previous: str = ""
    """Text of the model's previous message in the conversation."""
    model: str = ""
    """Name of the model that the client asked for."""
    tools: frozenset[str] = frozenset()
    """Names of the tools that the model can call."""
    tools_run: frozenset[str] = frozenset()
    """Names of the tools that have run since the newest message of the user."""
    personal_data: frozenset[str] = frozenset()
    """Kinds of personal data to remove; see `actors.guards.checks.personal_data`."""
    boundary_secret: bytes = b""
    """Secret of the marks around the system prompt, or empty; see `actors.guards.boundaries`."""

    def __repr__(self) -> str:
        """Leave out what belongs in no log: texts of the conversation and the secret."""
        return f"GuardContext(model={self.model!r})"


class SpanCheck(Struct, frozen=True, kw_only=True):
    """A check that finds pieces of a text while it flows."""

    settle: Callable[[str], int]
    """Returns how much of a text (which continues where the last settled part ended) is settled:
    no text that may follow makes a match that begins in that part and does not end in it. Must
    be fast, since it is called for every token, and should keep no more than needed unsettled."""
    find: Callable[[str], list[Span]]
    """Returns the spans in settled text, in order and without overlaps. The result for the whole
    of a text must be that for its settled parts one by one, however the text was cut."""
    prose: bool = False
    """True if `find` is given the sentences of prose one by one, without code blocks, and with
    quotations masked; see `actors.guards.prose`. The text then settles in sentences."""
    everywhere: bool = False
    """True if reasoning and refusals are checked like visible text."""


class TextCheck(Struct, frozen=True, kw_only=True):
    """A check that judges a whole text."""

    check: Callable[[str, Scores], Verdict]


Check = SpanCheck | TextCheck


class GuardSpec(Struct, frozen=True, kw_only=True):
    """A guard: its name in the configuration, and what it does in one line of documentation."""

    name: str
    does: str
    action: Action
    streaming: bool = False
    """True if the guard is part of the streaming chain, which checks the beginning of an answer
    before it is shown; all guards check the whole answer before it is stored."""
    make: Callable[[GuardContext], Check | None]
    """Makes the check of one turn, or None if there is nothing that it could find."""
    directive: str = ""
    """Tells the model what to do better, for a `SpanCheck` whose action is `RETRY`."""
