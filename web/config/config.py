"""The configuration as a whole: frozen, checked, and with every default filled in."""

import re
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from actors.outcome import Mode
from actors.price import Price
from actors.timeouts import Timeouts
from web.config.routing import Model
from web.config.sections import (
    Breaker,
    Journal,
    Limits,
    Logs,
    Server,
    Store,
    TimeoutOverrides,
    TimeoutSettings,
    Turns,
)
from web.config.upstreams import Provider

_SIMULATED = {"simulated": {"format": "simulated"}}
_SIM = {"sim": {"routes": ["simulated/sim"]}}
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Config(BaseSettings):
    """Everything that an operator can set. `load` makes one from a file and the environment."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        env_prefix="TROUPER_",
        env_nested_delimiter="__",
        validate_default=True,
        hide_input_in_errors=True,
    )

    server: Server = Server()
    store: Store = Store()
    turns: Turns = Turns()
    timeouts: TimeoutSettings = TimeoutSettings()
    limits: Limits = Limits()
    breaker: Breaker = Breaker()
    journal: Journal = Journal()
    logs: Logs = Logs()
    providers: dict[str, Provider] = {}
    """By name. With none at all there is `simulated`, and the model `sim` that leads to it."""
    models: dict[str, Model] = {}
    """By the name that clients ask for."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load` reads the sources, so that it can name the guilty one."""
        return (init_settings,)

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
        if problems:
            raise PydanticCustomError("misplaced", "see problems", {"problems": problems})
        return self

    def clocks(self, model: Model | None, provider: str | None) -> Timeouts:
        """The timeouts of an attempt: a model's beat a provider's, which beat the general ones.

        `model` is None where a request names a route directly; `provider` is None for what holds
        for the whole turn (`total_s`).
        """
        merged = self.timeouts.model_dump()
        if provider is not None:
            merged |= _given(self.providers[provider].timeouts)
        if model is not None:
            merged |= _given(model.timeouts)
        return Timeouts(**merged)

    def mode_of(self, model: Model | None) -> Mode:
        """What a client's leaving means to turns of this model."""
        return (model and model.mode) or self.turns.mode

    def resume_window_of(self, model: Model | None) -> float:
        """Seconds that a lingering turn of this model waits for a client."""
        return (model and model.resume_window_s) or self.turns.resume_window_s

    def price_of(self, model: Model | None) -> Price:
        """What the model's tokens cost. A route that is named directly has no price."""
        return model.price.in_micros() if model else Price()

    def notes(self) -> list[str]:
        """What is legal and yet not what one wants, one line each."""
        return [
            f"[providers.{name}] {note}"
            for name, provider in self.providers.items()
            for note in provider.notes()
        ]


def _given(overrides: TimeoutOverrides) -> dict[str, float]:
    return overrides.model_dump(exclude_none=True)


Problem = tuple[tuple[str | int, ...], str]
"""A place and what is wrong there: a validator of the whole has no place of its own."""


def _bad_names(providers: Mapping[str, object]) -> Iterator[Problem]:
    for name in providers:
        if not _PROVIDER_NAME.fullmatch(name):
            yield ("providers", name), "a name has only letters, digits, '.', '_' and '-'"


def _bad_routes(models: Mapping[str, Model], providers: Mapping[str, object]) -> Iterator[Problem]:
    known = ", ".join(sorted(providers))
    for name, model in models.items():
        for index, entry in enumerate(model.routes):
            if entry.route.provider not in providers:
                text = f"there is no provider {entry.route.provider!r}; the providers are {known}"
                yield ("models", name, "routes", index), text
