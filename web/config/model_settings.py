"""Settings of the models: the names that clients may request, and their routes."""

from decimal import Decimal
from typing import Annotated, Literal, cast, get_args

from pydantic import (
    AfterValidator,
    Field,
    PlainSerializer,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from actors.turn.model_call import Capabilities, Route
from actors.turn.outcome import Mode, OnCut, Price
from actors.turn.request import DEFAULT_INSTRUCTION
from web.config.field_types import RouteName, route_named
from web.config.guard_settings import GuardOverrides
from web.config.sections import Count, Seconds, Section, TimeoutOverrides

_LONGEST_INSTRUCTION = 4000


def _instruction(text: str) -> str:
    if not 0 < len(text.strip()) <= _LONGEST_INSTRUCTION:
        raise ValueError(
            f"must have 1 to {_LONGEST_INSTRUCTION} characters, not counting white space at"
            " either end"
        )
    return text


Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, decimal_places=6), PlainSerializer(float)]
"""Price of a million tokens; a token costs at most a dollar."""
Capability = Literal["tools", "images", "files", "audio", "video", "reasoning", "prefill"]


class PriceSettings(Section):
    """The price of a million tokens."""

    input: Dollars = Decimal(0)
    """Dollars per million input tokens."""
    output: Dollars = Decimal(0)
    """Dollars per million output tokens."""
    cached_input: Dollars | None = None
    """Dollars per million cached input tokens; by default the same as `input`."""
    cache_write: Dollars | None = None
    """Dollars per million input tokens that are written to a cache; by default the same as
    `input`."""

    def in_micros(self) -> Price:
        """Return the price as turns use it."""
        return Price(
            input=_micros(self.input),
            output=_micros(self.output),
            cached_input=None if self.cached_input is None else _micros(self.cached_input),
            cache_write=None if self.cache_write is None else _micros(self.cache_write),
        )


def _micros(dollars: Decimal) -> int:
    return int(dollars * 1_000_000)


class ModelRoute(Section):
    """A route of a model; its name alone is enough if it overrides nothing."""

    route: RouteName
    """`provider/upstream-model`."""
    capabilities: tuple[Capability, ...] | None = None
    """Overrides the model's `capabilities` for this route."""
    context_window: Count | None = None
    """Overrides the model's `context_window` for this route."""

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_name(cls, written: object) -> object:
        if isinstance(written, str | Route):
            return {"route": route_named(written)}
        if isinstance(written, dict | ModelRoute):
            return written
        raise ValueError('must be "provider/upstream-model", or a table with that as its route')

    @model_serializer(mode="wrap")
    def _as_written(self, serialize: SerializerFunctionWrapHandler) -> object:
        whole = cast("dict[str, object]", serialize(self))
        given = {key: value for key, value in whole.items() if value is not None}
        return given["route"] if len(given) == 1 else given


class Model(Section):
    """A model name that clients can request."""

    routes: Annotated[tuple[ModelRoute, ...], Field(min_length=1)]
    """Routes in order of preference: each `provider/upstream-model`, or a table with that as its
    `route` and with overrides."""
    capabilities: tuple[Capability, ...] | None = None
    """All that the routes can do: `tools`, `images`, `files`, `audio`, `video`, `reasoning` and
    `prefill` (the upstream can continue a partial answer that it is given). Default: all but
    `prefill`."""
    context_window: Count | None = None
    """Maximum number of tokens of prompt and answer together. Default: not checked."""
    on_cut: OnCut = OnCut.CONTINUE
    """Reaction to an answer that breaks off after the client has received part of it: `continue`
    resumes it with another attempt, `restart` replaces it if the client's API can express that,
    `fail` ends the turn."""
    continue_instruction: Annotated[str, AfterValidator(_instruction)] = DEFAULT_INSTRUCTION
    """Prompt that asks a route without `prefill` to continue an interrupted answer. It should ask
    for the last words to be repeated, because they show where the two texts meet."""
    price: PriceSettings = PriceSettings()
    """Price of the model's tokens; free by default."""
    mode: Mode | None = None
    """Overrides `turns.mode`."""
    resume_window_s: Seconds | None = None
    """Overrides `turns.resume_window_s`."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Timeouts that differ from `[timeouts]` and from the provider's."""

    guards: GuardOverrides = GuardOverrides()
    """Settings that differ from `[guards]`."""

    def capabilities_of(self, route: ModelRoute) -> Capabilities:
        """Return the capabilities of one of the routes; the route's settings override ours."""
        declared = self.capabilities if route.capabilities is None else route.capabilities
        window = route.context_window or self.context_window
        if declared is None:
            return Capabilities(context_window=window)
        able = {capability: capability in declared for capability in get_args(Capability)}
        return Capabilities(**able, context_window=window)
