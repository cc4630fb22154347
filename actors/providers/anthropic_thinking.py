"""Chat's `reasoning_effort` as thinking of Anthropic's Messages API.

Newer models are told an effort, older ones a budget of tokens. Rules from the API's pages "Extended
thinking" and "Thinking in tool and multi-turn workflows": a budget is at least 1024 and less than
`max_tokens`; with one, no tool can be forced, no answer continued, and after a tool's result
the thinking that led to its call has to come back, which a chat does not keep.
"""

from collections.abc import Mapping

from msgspec import Struct

from actors.providers.base import JSON

BUDGETS = {
    "minimal": 1024,
    "low": 4096,
    "medium": 8192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 24_576,
}
"""Tokens of thinking for each effort; at most half of what the client's `max_tokens` allows."""

_LEAST = 1024
_EFFORTS = {effort: effort for effort in BUDGETS} | {"minimal": "low"}


class Thinking(Struct, frozen=True):
    """What is said of thinking; None is nothing."""

    thinking: dict[str, JSON] | None = None
    effort: str | None = None

    @property
    def on(self) -> bool:
        """The model is asked to think."""
        return self.thinking is not None and self.thinking.get("type") != "disabled"

    @property
    def budget(self) -> int:
        """Tokens set aside for thinking."""
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
    """What `thinking` and `reasoning_effort` come to.

    `possible` says whether thinking with a budget goes with the rest of the call, `limit` is the
    client's own `max_tokens`. The API's own `thinking` is passed on as it is.
    """
    given, wanted = parameters.get("thinking"), parameters.get("reasoning_effort")
    effort = _EFFORTS.get(wanted) if isinstance(wanted, str) else None
    made = _given(given, effort) if isinstance(given, dict) else Thinking()
    if given is not None and made.thinking is None:
        left_out.append("thinking")
    if given is None and effort is not None:
        made = _made(str(wanted), effort, limit, by_effort=by_effort, possible=possible)
    if wanted not in (None, "none") and not (made.effort or (given is None and made.thinking)):
        left_out.append("reasoning_effort")
    return made


def _given(thinking: dict[str, JSON], effort: str | None) -> Thinking:
    return Thinking(thinking, effort if thinking.get("type") == "adaptive" else None)


def _made(wanted: str, effort: str, limit: JSON, *, by_effort: bool, possible: bool) -> Thinking:
    if by_effort:
        # The newest models show no thinking where they are not asked to.
        return Thinking({"type": "adaptive", "display": "summarized"}, effort)
    most = limit // 2 if isinstance(limit, int) else BUDGETS[wanted]
    if not possible or (isinstance(limit, int) and limit <= _LEAST):
        return Thinking()
    budget = max(_LEAST, min(BUDGETS[wanted], most))
    return Thinking({"type": "enabled", "budget_tokens": budget})
