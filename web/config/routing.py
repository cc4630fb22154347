"""Models: which names clients may ask for, and which routes these lead to."""

from decimal import Decimal
from typing import Annotated, Literal, cast

from pydantic import (
    Field,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from actors.continuing import DEFAULT_INSTRUCTION
from actors.outcome import Mode, OnCut
from actors.price import Price
from actors.providers.base import Capabilities, Route
from web.config.sections import Count, Seconds, Section, TimeoutOverrides

_DEAREST = 10**12
"""Micro-dollars per million tokens: a dollar a token."""
_LONGEST_INSTRUCTION = 4000


def _route(written: object) -> Route:
    if isinstance(written, Route):
        return written
    provider, slash, model = written.partition("/") if isinstance(written, str) else ("", "", "")
    if not (provider and slash and model):
        raise ValueError("must be provider/upstream-model, such as openai/gpt-5.2")
    return Route(provider, model)


def _micros(dollars: object) -> int:
    """Dollars as they are written (1.25), exactly: a binary fraction must not cost anyone."""
    if isinstance(dollars, bool) or not isinstance(dollars, int | float | str):
        raise ValueError("must be dollars per million tokens, such as 1.25")
    try:
        micros = Decimal(str(dollars)) * 1_000_000
        whole = int(micros)
    except (ArithmeticError, ValueError):
        raise ValueError("must be dollars per million tokens, such as 1.25") from None
    if whole > _DEAREST:
        raise ValueError("must not be more than 1000000 dollars per million tokens")
    if micros < 0 or micros != whole:
        raise ValueError("must not be negative, nor finer than a millionth of a dollar")
    return whole


def _dollars(micros: int) -> float:
    return micros / 1_000_000


RouteName = Annotated[Route, PlainValidator(_route), PlainSerializer(str)]
MicrosPerMillion = Annotated[int, PlainValidator(_micros), PlainSerializer(_dollars)]
"""Micro-dollars per million tokens; written as dollars per million tokens."""
Capability = Literal["tools", "images", "reasoning", "prefill"]


class PriceSettings(Section):
    """What a million tokens cost; read as integer micro-dollars."""

    input: MicrosPerMillion = 0
    """Dollars per million input tokens."""
    output: MicrosPerMillion = 0
    """Dollars per million output tokens."""
    cached_input: MicrosPerMillion | None = None
    """Dollars per million input tokens that the provider had cached; as `input` if left out."""

    def in_micros(self) -> Price:
        """As the actors take it."""
        return Price(input=self.input, output=self.output, cached_input=self.cached_input)


class ModelRoute(Section):
    """A route of a model; written as its name alone where nothing else is to be said."""

    route: RouteName
    """`provider/upstream-model`."""
    capabilities: tuple[Capability, ...] | None = None
    """As `capabilities` of the model, for this route."""
    context_window: Count | None = None
    """As `context_window` of the model, for this route."""

    @model_validator(mode="before")
    @classmethod
    def _may_be_a_name(cls, written: object) -> object:
        if isinstance(written, str | Route):
            return {"route": _route(written)}
        if isinstance(written, dict | ModelRoute):
            return written
        raise ValueError('must be "provider/upstream-model", or a table with that as its route')

    @model_serializer(mode="wrap")
    def _as_written(self, serialize: SerializerFunctionWrapHandler) -> object:
        whole = cast("dict[str, object]", serialize(self))
        given = {key: value for key, value in whole.items() if value is not None}
        return given["route"] if len(given) == 1 else given


class Model(Section):
    """A name that clients ask for."""

    routes: Annotated[tuple[ModelRoute, ...], Field(min_length=1)]
    """Where it may be answered, in order of preference: `provider/upstream-model`, or a table with
    that as its `route` and with what differs on it."""
    capabilities: tuple[Capability, ...] | None = None
    """What its routes can do, and nothing besides: `tools`, `images`, `reasoning`, `prefill` (an
    answer that was begun can be handed in to be continued). Left out, all but `prefill`."""
    context_window: Count | None = None
    """Tokens that prompt and answer may have together. Left out, it is not looked at."""
    on_cut: OnCut = OnCut.CONTINUE
    """What becomes of an answer that breaks off after the client has seen some of it: `continue`
    has another attempt go on there, `restart` replaces it where the client's API can say so,
    `fail` ends the turn."""
    continue_instruction: str = DEFAULT_INSTRUCTION
    """What asks a route without `prefill` to go on with an answer that broke off. It should have
    the last words repeated, which prove where the two texts meet."""
    price: PriceSettings = PriceSettings()
    """What its tokens cost; nothing, if left out."""
    mode: Mode | None = None
    """As in `[turns]`."""
    resume_window_s: Seconds | None = None
    """As in `[turns]`."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Clocks that differ from `[timeouts]` and from the provider's."""

    @field_validator("continue_instruction")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not 0 < len(text.strip()) <= _LONGEST_INSTRUCTION:
            raise ValueError(f"must have 1 to {_LONGEST_INSTRUCTION} characters besides blanks")
        return text

    def capabilities_of(self, route: ModelRoute) -> Capabilities:
        """What one of the routes can do, as far as anybody has said."""
        declared = self.capabilities if route.capabilities is None else route.capabilities
        window = route.context_window or self.context_window
        if declared is None:
            return Capabilities(context_window=window)
        return Capabilities(
            tools="tools" in declared,
            images="images" in declared,
            reasoning="reasoning" in declared,
            prefill="prefill" in declared,
            context_window=window,
        )
