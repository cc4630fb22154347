"""Converts Chat's `reasoning_effort` to the `thinking` parameter of Anthropic's Messages API.

Newer models take an effort, older ones a budget of tokens. The rules come from the API's pages
"Extended thinking" and "Thinking in tool and multi-turn workflows": a budget is at least 1024 and
less than `max_tokens`. With a budget, tools can't be forced, answers can't be continued, and a tool
result must come with the thinking that led to its call, which Chat messages don't keep.
"""

from collections.abc import Mapping

from msgspec import Struct

from actors.turn.model_call import JSON

BUDGETS = {
    "minimal": 1024,
    "low": 4096,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Thinking tokens for each effort; capped at half of the client's `max_tokens`."""

_MIN_BUDGET = 1024
_EFFORTS = {effort: effort for effort in BUDGETS} | {"minimal": "low"}


class Thinking(Struct, frozen=True):
    """Thinking parameters of a request; None leaves a parameter out."""

    thinking: dict[str, JSON] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """True if the request turns thinking on."""
        return self.thinking is not None and self.thinking.get("type") != "disabled"

    @property
    def budget(self) -> int:
        """Tokens reserved for thinking; 0 without a budget."""
        budget = (self.thinking or {}).get("budget_tokens")
        return budget if isinstance(budget, int) else 0


def thinking(
    parameters: Mapping[str, JSON],
    left_out: list[str],
    *,
    by_effort: bool,
    possible: bool,
    limit: JSON,
) -> Thinking:
    """Return the thinking parameters for `thinking` and `reasoning_effort`.

    `by_effort` is true if the model takes an effort instead of a budget, `possible` if a budget is
    compatible with the rest of the call. `limit` is the client's `max_tokens`. The API's own
    `thinking` parameter is passed through unchanged.
    """
    given, requested = parameters.get("thinking"), parameters.get("reasoning_effort")
    effort = _EFFORTS.get(requested) if isinstance(requested, str) else None
    made = _passed_through(given, effort) if isinstance(given, dict) else Thinking()
    if given is not None and made.thinking is None:
        left_out.append("thinking")
    if given is None and effort is not None:
        made = _from_effort(str(requested), effort, limit, by_effort=by_effort, possible=possible)
    if requested not in (None, "none") and not (made.effort or (given is None and made.thinking)):
        left_out.append("reasoning_effort")
    return made


def _passed_through(thinking: dict[str, JSON], effort: str | None) -> Thinking:
    return Thinking(thinking, effort if thinking.get("type") == "adaptive" else None)


def _from_effort(
    requested: str, effort: str, limit: JSON, *, by_effort: bool, possible: bool
) -> Thinking:
    if by_effort:
        # The newest models omit their thinking unless the request sets `display`.
        return Thinking({"type": "adaptive", "display": "summarized"}, effort)
    most = limit // 2 if isinstance(limit, int) else BUDGETS[requested]
    if not possible or (isinstance(limit, int) and limit <= _MIN_BUDGET):
        return Thinking()
    budget = max(_MIN_BUDGET, min(BUDGETS[requested], most))
    return Thinking({"type": "enabled", "budget_tokens": budget})
