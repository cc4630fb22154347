"""Maps model names to plans (routes, timeouts, price, mode), computed once at startup."""

from msgspec import Struct
from msgspec.structs import replace

from actors.attempts.attempt import join_paths
from actors.turn.model_call import JSON, Capabilities, ModelCall, Route
from actors.turn.outcome import NO_GUARDS, GuardMode, GuardPlan, Mode, OnCut, Price
from actors.turn.request import DEFAULT_INSTRUCTION, PlannedRoute, TurnRequest
from actors.turn.store_records import Principal
from web.config import Config, Model, ModelRoute, Simulated, formats
from web.http.api_error import ApiError, invalid, not_found, unavailable
from web.turns.media_needs import CODE, Fitting, MediaNeeds, TakenMedia, fit_media

CATCH_ALL = "*"
"""Name of the configured model that answers for all names that nothing else does."""
_NAMES_SHOWN = 50


class ModelRequest(Struct, frozen=True, kw_only=True):
    """A valid request for an answer: the model call and the options of the answer."""

    model: str
    call: ModelCall
    dialect_options: dict[str, JSON] = {}
    stream: bool = False
    strict: bool = False
    """Extension: a parameter that a route does not support is an error, not a warning."""
    keep_text: bool = True
    media: MediaNeeds = MediaNeeds()
    """The media of the call; without them, no route is skipped for what its format lacks."""
    only_api: str | None = None
    """API whose providers alone can run the tool that `tool_choice` demands, or None for any."""
    api_tools: tuple[str, ...] = ()
    """Paths of the tools that other APIs lack, for the error text."""


class TurnPlan(Struct, frozen=True):
    """The settings of a model's turns."""

    routes: tuple[PlannedRoute, ...]
    taken: tuple[TakenMedia, ...]
    """The media that each route can take."""
    usable: bool
    """True if at least one route's provider has a key or needs none."""
    total_s: float
    mode: Mode
    resume_window_s: float
    price: Price
    on_cut: OnCut
    continue_instruction: str
    max_answer_bytes: int
    guards: GuardPlan = NO_GUARDS

    def turn(self, request: ModelRequest, dialect: str, principal: Principal) -> TurnRequest:
        """Return the turn request for a request with this plan.

        Without `stream` the answer can still be replaced, as the client sees nothing before its
        end. Raises `ApiError` (400) if no route can take the media of the newest message, or run
        the tool that the model must call.
        """
        fitting = Fitting(self._routes(request), request.call)
        if request.media.kinds:
            fitting = fit_media(fitting, self.taken, request.media, strict=request.strict)
        return TurnRequest(
            model=request.model,
            routes=fitting.routes,
            call=replace(fitting.call, strict=True) if request.strict else fitting.call,
            notes=fitting.notes,
            dialect=dialect,
            dialect_options=request.dialect_options,
            total_s=self.total_s,
            principal=principal,
            mode=self.mode,
            resume_window_s=self.resume_window_s,
            keep_text=request.keep_text,
            max_answer_bytes=self.max_answer_bytes,
            guards=self._guards(stream=request.stream),
            price=self.price,
            on_cut=self.on_cut,
            continue_instruction=self.continue_instruction,
            strict=request.strict,
            replaceable=not request.stream,
        )

    def _guards(self, *, stream: bool) -> GuardPlan:
        """Return the guards; all of an answer that is not streamed can be held until its end."""
        if stream or not self.guards.guards:
            return self.guards
        return replace(self.guards, mode=GuardMode.BUFFER_ALL)

    def _routes(self, request: ModelRequest) -> tuple[PlannedRoute, ...]:
        if request.only_api is None:
            return self.routes
        able = [one.api == request.only_api for one in self.taken]
        if not any(able):
            tools = f" ({join_paths(request.api_tools)})" if request.api_tools else ""
            text = f"tool_choice: no route of this model can run the tool that it demands{tools}."
            raise invalid(text, param="tool_choice", code=CODE)
        unfit = f"unsupported: {join_paths(('tool_choice', *request.api_tools))}"
        pairs = zip(self.routes, able, strict=True)
        return tuple(route if can else replace(route, unfit=unfit) for route, can in pairs)


class Planner:
    """Finder of plans by model name.

    A name is a configured model, `provider/upstream-model`, or any other if there is a catch-all.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._formats = formats()
        self._plans = {
            name: self._plan(model, model.routes) for name, model in config.models.items()
        }

    @property
    def names(self) -> list[str]:
        """The names of the configured models, in the order of the file; without the catch-all."""
        return [name for name in self._plans if name != CATCH_ALL]

    def knows(self, name: str) -> bool:
        """Return True if requests may have this name as their model."""
        return self._plan_of(name) is not None

    def find(self, name: str) -> TurnPlan:
        """Return the plan for `name`.

        Raises `ApiError`: 404 for an unknown name, 503 if no route has a usable key.
        """
        plan = self._plan_of(name)
        if plan is None:
            raise self._unknown(name)
        if not plan.usable:
            routes = ", ".join(str(planned.route) for planned in plan.routes)
            text = (
                f"No provider of model {name!r} has an API key (routes: {routes})."
                " Set the key of one in the server's configuration and restart the server."
            )
            raise unavailable(text, code="no_usable_route", retry_after_s=60.0)
        return plan

    def price_of(self, name: str) -> Price:
        """Return the price of the model's tokens; free if it is no longer configured."""
        plan = self._plan_of(name)
        return plan.price if plan else Price()

    def _plan_of(self, name: str) -> TurnPlan | None:
        plan = self._plans.get(name) or self._direct(name) or self._simulated(name)
        return plan or self._plans.get(CATCH_ALL)

    def _direct(self, name: str) -> TurnPlan | None:
        provider, slash, upstream_model = name.partition("/")
        if not slash or not upstream_model or provider not in self._config.providers:
            return None
        return self._plan(None, (ModelRoute(route=Route(provider, upstream_model)),))

    def _simulated(self, name: str) -> TurnPlan | None:
        """Return a plan for `sim:cut=40` if `sim` is a model whose first route is simulated.

        The plan has only the first route, with these settings of the simulation.
        """
        base, colon, settings = name.partition(":")
        model = self._config.models.get(base)
        if model is None or not colon:
            return None
        first = model.routes[0]
        if not isinstance(self._config.providers[first.route.provider], Simulated):
            return None
        upstream_model = f"{first.route.upstream_model}:{settings}"
        route = first.model_copy(update={"route": Route(first.route.provider, upstream_model)})
        return self._plan(model, (route,))

    def _plan(self, model: Model | None, routes: tuple[ModelRoute, ...]) -> TurnPlan:
        config = self._config
        return TurnPlan(
            routes=tuple(self._planned(model, entry) for entry in routes),
            taken=tuple(self._taken(model, entry) for entry in routes),
            usable=any(config.providers[entry.route.provider].usable for entry in routes),
            total_s=config.clocks(model, routes[0].route.provider).total_s,
            mode=config.mode_of(model),
            resume_window_s=config.resume_window_of(model),
            price=config.price_of(model),
            on_cut=model.on_cut if model else OnCut.CONTINUE,
            continue_instruction=model.continue_instruction if model else DEFAULT_INSTRUCTION,
            max_answer_bytes=config.turns.max_answer_bytes,
            guards=config.guards_of(model),
        )

    def _taken(self, model: Model | None, entry: ModelRoute) -> TakenMedia:
        spec = self._formats.get(self._config.providers[entry.route.provider].format)
        capabilities = model.capabilities_of(entry) if model else Capabilities()
        if spec is None:
            return TakenMedia(None, None, capabilities)
        return TakenMedia(spec.format.api, spec.format.media, capabilities)

    def _planned(self, model: Model | None, entry: ModelRoute) -> PlannedRoute:
        capabilities = model.capabilities_of(entry) if model else Capabilities()
        provider, reasons = entry.route.provider, capabilities.reasoning
        clocks = self._config.clocks(model, provider, reasons=reasons)
        return PlannedRoute(entry.route, clocks, capabilities)

    def _unknown(self, name: str) -> ApiError:
        shown = ", ".join(self.names[:_NAMES_SHOWN]) or "none"
        return not_found(
            f"Unknown model {name[:200]!r}. The models are: {shown}."
            " You can also name a route directly, as provider/upstream-model. A model with the"
            f" name {CATCH_ALL!r} in the configuration would answer for all other names.",
            code="model_not_found",
            param="model",
        )
