"""Settings of guards: what is checked, how, and what happens to it."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from actors.turn.outcome import NEUTRAL_TEXT, GuardMode
from web import registry
from web.config.field_types import RouteName, Secret
from web.config.sections import Count, Section

ALL = "all"
UNMARKED = (
    "boundaries needs guards.boundary_secret; set it to env:NAME, the name of a variable with a"
    " random text of 32 or more characters"
)


def _known_guards(names: tuple[str, ...]) -> tuple[str, ...]:
    known = registry.guards()
    for name in names:
        if name != ALL and name not in known:
            raise ValueError(f"{name!r} is not a guard; the guards are: all, {', '.join(known)}")
    return tuple(known) if ALL in names else tuple(name for name in known if name in names)


GuardNames = Annotated[tuple[str, ...], AfterValidator(_known_guards)]
PersonalData = Literal["email", "phone", "iban", "card", "ip_address", "ssn_us"]
Retries = Annotated[int, Field(ge=0, le=5)]


class GuardOverrides(Section):
    """Settings of `[guards]` that are different for one model."""

    input: bool | None = None
    """Overrides `guards.input`."""
    output: GuardNames | None = None
    """Overrides `guards.output`."""
    mode: GuardMode | None = None
    """Overrides `guards.mode`."""
    buffer_max_ms: Count | None = None
    """Overrides `guards.buffer_max_ms`."""
    retries: Retries | None = None
    """Overrides `guards.retries`."""
    neutral_text: str | None = None
    """Overrides `guards.neutral_text`."""
    personal_data: tuple[PersonalData, ...] | None = None
    """Overrides `guards.personal_data`."""
    boundaries: bool | None = None
    """Overrides `guards.boundaries`."""


class GuardSettings(Section):
    """Guards: checks of what comes in and of what goes out. By default there are none."""

    input: bool = False
    """If true, new messages of users and results of tools are scored for injected instructions.
    Suspicious parts are removed, and a message with a score of 0.7 or more is refused (403)."""
    output: GuardNames = ()
    """Names of the guards that check answers, or `all`; `trouper guards list` lists them. Their
    order is fixed."""
    mode: GuardMode = GuardMode.HOLD_BACK
    """Text that is held until it is checked: the beginning of an answer (`buffer_first`), all that
    could still be part of a match (`hold_back`), or all of it (`buffer_all`)."""
    buffer_max_ms: Count = 1500
    """Longest time, in milliseconds, for which `buffer_first` holds text."""
    retries: Retries = 2
    """Number of times that the model is asked again because a guard discarded its answer."""
    neutral_text: str = NEUTRAL_TEXT
    """Text in the place of an answer that is withheld."""
    keep_original: bool = False
    """If true, text that guards removed is stored with their verdicts, for audit."""
    personal_data: tuple[PersonalData, ...] = ("email", "phone", "iban", "card")
    """Kinds of personal data that the guard `personal_data` removes."""
    boundaries: bool = False
    """If true, the system prompt is sent between marks, by which a copy of it is recognised."""
    boundary_secret: Secret | None = None
    """Secret from which the marks are made, needed for `boundaries`. It should stay the same, so
    that prompt caches of providers work."""
    semantics: RouteName | None = None
    """Route of an embeddings model that rates what answers say, `provider/upstream-model`.
    Default: built-in ratings by parts of words."""

    @model_validator(mode="after")
    def _boundaries_have_a_secret(self) -> Self:
        if self.boundaries and self.boundary_secret is None:
            raise ValueError(UNMARKED)
        return self
