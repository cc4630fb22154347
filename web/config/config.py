"""The configuration as a whole: frozen, validated, with every default filled in."""

import re
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from actors.guards.spec import Action
from actors.turn.outcome import GuardMode, GuardPlan, Mode, Price
from actors.turn.request import THINKING_S, Timeouts
from web import registry
from web.config import sections
from web.config.guard_settings import UNMARKED, GuardSettings
from web.config.model_settings import Model
from web.config.provider_settings import Provider

_SIMULATED = {"simulated": {"format": "simulated"}}
_SIM = {"sim": {"routes": ["simulated/sim"]}}
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Config(sections.Section):
    """All settings. `load` builds one from a file, the environment and the command line."""

    server: sections.Server = sections.Server()
    cors: sections.Cors = sections.Cors()
    store: sections.Store = sections.Store()
    turns: sections.Turns = sections.Turns()
    timeouts: sections.TimeoutSettings = sections.TimeoutSettings()
    limits: sections.Limits = sections.Limits()
    breaker: sections.Breaker = sections.Breaker()
    journal: sections.Journal = sections.Journal()
    logs: sections.Logs = sections.Logs()
    guards: GuardSettings = GuardSettings()
    providers: dict[str, Provider] = Field(default_factory=dict)
    """Providers by name; by default `simulated` alone, together with the model `sim`."""
    models: dict[str, Model] = Field(default_factory=dict)
    """Models by the name that clients request."""

    @model_validator(mode="before")
    @classmethod
    def _start_without_a_file(cls, given: dict[str, object]) -> dict[str, object]:
        if given.get("providers"):
            return {"models": {}, **given}
        models = {"models": _SIM} if not given.get("models") else {}
        return {**given, "providers": _SIMULATED, **models}

    @model_validator(mode="after")
    def _names_lead_somewhere(self) -> Self:
        problems = [*_bad_names(self.providers), *_bad_routes(self.models, self.providers)]
        if self.guards.boundary_secret is None:
            problems += _without_secret(self.models)
        if problems:
            raise PydanticCustomError("misplaced", "see problems", {"problems": problems})
        return self

    def clocks(
        self, model: Model | None, provider: str | None, *, reasons: bool = True
    ) -> Timeouts:
        """Return the timeouts of an attempt: a model's override a provider's and `[timeouts]`.

        `model` is None if a request names a route directly. `provider` is None if no provider's
        overrides apply. `reasons` is true if the route can reason.
        """
        merged = dict.fromkeys(("first_token_s", "idle_s"), THINKING_S) if reasons else {}
        merged |= _given(self.timeouts)
        if provider is not None:
            merged |= _given(self.providers[provider].timeouts)
        if model is not None:
            merged |= _given(model.timeouts)
        return Timeouts(**merged)

    def mode_of(self, model: Model | None) -> Mode:
        """Return what happens to turns of this model when their last client leaves."""
        return (model and model.mode) or self.turns.mode

    def resume_window_of(self, model: Model | None) -> float:
        """Return the seconds that a lingering turn of this model waits for a client."""
        return (model and model.resume_window_s) or self.turns.resume_window_s

    def guards_of(self, model: Model | None) -> GuardPlan:
        """Return the guards of this model's turns."""
        overrides = model.guards.model_dump(exclude_none=True) if model else {}
        settings = self.guards.model_copy(update=overrides)
        return GuardPlan(
            check_input=settings.input,
            guards=settings.output,
            mode=settings.mode,
            buffer_max_s=settings.buffer_max_ms / 1000,
            retries=settings.retries,
            neutral_text=settings.neutral_text,
            keep_original=settings.keep_original,
            personal_data=settings.personal_data,
            boundaries=settings.boundaries,
        )

    def price_of(self, model: Model | None) -> Price:
        """Return the price of the model's tokens. A route that is named directly is free."""
        return model.price.in_micros() if model else Price()

    def notes(self) -> list[str]:
        """Return one line for each setting that is valid but probably a mistake."""
        notes = [
            f"[providers.{name}] {note}"
            for name, provider in self.providers.items()
            for note in provider.notes()
        ]
        return [*notes, *self._guard_notes()]

    def _guard_notes(self) -> Iterator[str]:
        """Yield a note for each guard that comes too late, and for a secret without a value."""
        secret, known = self.guards.boundary_secret, registry.guards()
        if secret is not None and secret.problem:
            problem = f"[guards] boundary_secret: {secret.problem}"
            yield f"{problem}; system prompts are sent without marks"
        for name, model in self.models.items():
            plan = self.guards_of(model)
            blocking = [one for one in plan.guards if known[one].action is Action.BLOCK]
            if blocking and plan.mode is GuardMode.BUFFER_FIRST:
                yield (
                    f"[models.{name}] {', '.join(blocking)} can block text only after it was shown,"
                    " because guards.mode is buffer_first; use hold_back or buffer_all"
                )


def _given(overrides: sections.TimeoutSettings | sections.TimeoutOverrides) -> dict[str, float]:
    return overrides.model_dump(exclude_none=True)


Problem = tuple[tuple[str | int, ...], str]
"""The path of a setting and the error text.

A validator of the whole configuration has to carry the path itself: pydantic gives it none.
"""


def _bad_names(providers: Mapping[str, object]) -> Iterator[Problem]:
    for name in providers:
        if not _PROVIDER_NAME.fullmatch(name):
            text = (
                "a provider's name may have letters, digits, '.', '_' and '-', and must begin"
                " with a letter or digit"
            )
            yield ("providers", name), text


def _bad_routes(models: Mapping[str, Model], providers: Mapping[str, object]) -> Iterator[Problem]:
    known = ", ".join(sorted(providers))
    for name, model in models.items():
        for index, entry in enumerate(model.routes):
            if entry.route.provider not in providers:
                text = f"unknown provider {entry.route.provider!r}; the providers are {known}"
                yield ("models", name, "routes", index), text


def _without_secret(models: Mapping[str, Model]) -> Iterator[Problem]:
    for name, model in models.items():
        if model.guards.boundaries:
            yield ("models", name, "guards", "boundaries"), UNMARKED
