"""Turn request: the model call of a turn with its routes, limits and options."""

from typing import Final

from msgspec import Struct

from actors.ports import Provider
from actors.turn.events import Warning
from actors.turn.model_call import JSON, Capabilities, ModelCall, Route
from actors.turn.outcome import NO_GUARDS, GuardPlan, GuardVerdict, Mode, OnCut, Price
from actors.turn.store_records import Authority, Principal

DEFAULT_INSTRUCTION: Final = (
    "Your previous message was cut off in the middle by a technical fault. Continue it exactly "
    "where it stops. Begin by repeating its last five to ten words verbatim, and go on from there "
    "in the same language, format and style. Write nothing before these words: no preamble, no "
    "apology, no remark about the interruption, no new code fence. Do not start over, and do not "
    "change or repeat anything else."
)
"""Prompt for a route without prefill. The repeated words show where the two texts meet."""


THINKING_S: Final = 300.0
"""Default of `first_token_s` and `idle_s` for routes that can reason.

Many servers send nothing at all while the model thinks."""


class Timeouts(Struct, frozen=True, kw_only=True):
    """Limits in seconds for each phase of an attempt and for the whole turn (`total_s`).

    `first_token_s` runs from the response head to the first content. `idle_s` runs between two
    parts of the answer after that, and only while we are receiving, so a slow client is never
    mistaken for a slow provider. `after_finish_s` runs after a finish reason, and then the answer
    is complete. Bytes without content, such as comments, restart all three.
    """

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    first_token_s: float = 30.0
    idle_s: float = 30.0
    after_finish_s: float = 5.0
    total_s: float = 600.0


class PlannedRoute(Struct, frozen=True):
    """A candidate route with the timeouts and capabilities that apply to it."""

    route: Route
    timeouts: Timeouts
    capabilities: Capabilities = Capabilities()
    provider: Provider | None = None
    """Provider for this turn alone, or None for the service's provider of the route."""
    unfit: str | None = None
    """Reason for which the turn must skip the route, or None."""


class TurnRequest(Struct, frozen=True, kw_only=True):
    """A request for a turn as any surface makes it; independent of HTTP."""

    model: str
    """Model name that the client requested."""
    routes: tuple[PlannedRoute, ...]
    """Candidate routes in the order in which they are tried."""
    call: ModelCall
    """Model call to make; each attempt sets its own `upstream_model`."""
    dialect: str
    dialect_options: dict[str, JSON]
    total_s: float
    """Time budget in seconds for the whole turn, over all attempts."""
    principal: Principal
    mode: Mode = Mode.ATTACHED
    resume_window_s: float = 0.0
    keep_text: bool = True
    max_answer_bytes: int = 2 * 1024 * 1024
    price: Price = Price()
    on_cut: OnCut = OnCut.CONTINUE
    continue_instruction: str = DEFAULT_INSTRUCTION
    """Prompt that asks a model to continue an interrupted answer."""
    strict: bool = False
    """True if routes that cannot honour every parameter of the call must be skipped."""
    replaceable: bool = False
    """True if the client receives nothing before the end, so the answer can be restarted."""
    previous_id: str | None = None
    """Id of the turn that this one continues."""
    conversation: str | None = None
    """Name of the conversation that the turn belongs to."""
    input_items: str | None = None
    """JSON array of the input items, stored for later turns; None if no items are stored."""
    input_ids: tuple[str, ...] = ()
    """Ids of input items that do not name the turn, by which later turns can refer to them."""
    guards: GuardPlan = NO_GUARDS
    """The guards of the answer."""
    authority: Authority | None = None
    """Trust in the request if its input is suspicious; None means that of the principal."""
    verdicts: tuple[GuardVerdict, ...] = ()
    """Verdicts on the request itself."""
    notes: tuple[Warning, ...] = ()
    """Warnings to send directly after `started`, independent of the route."""
