"""Converts a call, with its tools, to the body of an Anthropic Messages request.

Names and bounds come from the API reference, "Create a message". `traits` says what a model takes.
"""

import re
from functools import lru_cache

from msgspec import Struct

from actors.providers.formats.anthropic.fields import accepted_fields
from actors.providers.formats.anthropic.messages import SystemPlace, conversation
from actors.providers.formats.anthropic.schema import accepted_schema
from actors.providers.formats.anthropic.tools import choice_of, tools_of
from actors.providers.formats.base import Translation
from actors.providers.formats.custom_tools import custom_as_functions
from actors.providers.formats.parameters import Object, is_default_value, lookup, normalised
from actors.providers.formats.vendor_extensions import as_chat, redundant_parameters
from actors.turn.model_call import JSON, ModelCall

_NAME = re.compile(r"claude-(?:[a-z]{1,20}-)?(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
_CLASSIC = (4, 0)
_SYSTEM_WITHIN = (4, 8)
"""Version from which Opus, and models of newer families, take system messages in a conversation."""
_WITHOUT_SYSTEM = re.compile(r"claude-(?:sonnet|haiku)-")

_OLD_MODEL_MAX_TOKENS = 4096
_MAX_TOKENS = 32_000
_ANSWER = 4096
"""Tokens reserved for the answer when the client sets a thinking budget but no `max_tokens`."""

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

_MAX_USER_ID = 256

_TIERS = {"auto": "auto", "default": "standard_only", "standard_only": "standard_only"}

_UNSUPPORTED = frozenset(
    {
        *("audio", "function_call", "functions", "logit_bias", "logprobs", "modalities"),
        *("moderation", "n", "prediction", "prompt_cache_key", "prompt_cache_options"),
        *("prompt_cache_retention", "seed", "system", "top_logprobs", "verbosity"),
        *("frequency_penalty", "presence_penalty", "web_search_options"),
    }
)
"""Chat parameters that the Messages API cannot express."""

_NOT_SENT = _UNSUPPORTED | {"store"}
"""Parameters that are not passed through; `store` controls Trouper's store, not the provider's."""

_PENALTIES = frozenset({"frequency_penalty", "presence_penalty"})
"""Parameters whose default is 0, so that 0 doesn't count as left out."""


class Traits(Struct, frozen=True):
    """Request parameters that a model accepts."""

    effort: bool
    """True if thinking is adaptive and steered by an effort; budgets are refused or deprecated."""
    sampling: bool
    """True if the model accepts `temperature`, `top_p` and `top_k`."""
    temperature_with_top_p: bool
    """True if the model accepts `temperature` and `top_p` in one request."""
    max_tokens: int
    """Default `max_tokens`, accepted by all models of the generation."""


@lru_cache(256)
def _version(model: str) -> tuple[int, int] | None:
    """Return the version in a model's name, or None if it isn't Claude's."""
    found = _NAME.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None


def traits(model: str) -> Traits:
    """Return the traits of the named model."""
    version = _version(model) or _CLASSIC
    return Traits(
        effort=version >= (4, 6),
        sampling=version < (4, 7),
        temperature_with_top_p=version < (4, 1),
        max_tokens=_MAX_TOKENS if version >= _CLASSIC else _OLD_MODEL_MAX_TOKENS,
    )


def translate(call: ModelCall) -> Translation:
    """Return the call in the shape of the Messages API."""
    betas = tuple(beta for beta in call.betas if beta not in call.refused)
    request = _Request(custom_as_functions(call), betas)
    body = request.body()
    sent = {name: value for name, value in body.items() if value not in (None, [], {})}
    sent.setdefault("messages", [])
    own = {name: value for name, value in request.given.items() if name not in _NOT_SENT}
    request.left_out += [name for name in own if name in sent]
    accepted = accepted_fields(
        {name: value for name, value in own.items() if name not in sent},
        betas,
        request.left_out,
    )
    headers = (("anthropic-beta", ",".join(betas)),) if betas else ()
    return Translation(accepted | sent, tuple(request.left_out), headers)


class _Request:
    """The request for a call.

    Its methods take the parameters that they read out of `given`, and add to `left_out` the names
    of those that the API cannot express.
    """

    def __init__(self, call: ModelCall, betas: tuple[str, ...]) -> None:
        foreign: list[str] = []
        if call.client != "anthropic":
            call, foreign = as_chat(call)
        redundant = redundant_parameters(call)
        given = {
            name: value
            for name, value in call.parameters.items()
            if value is not None and name not in redundant
        }
        self.left_out = foreign
        self.left_out += [name for name, value in given.items() if _is_unsupported(name, value)]
        self.given = normalised(given, self.left_out)
        self._model = call.upstream_model
        self._traits = traits(call.upstream_model)
        self._own_client = call.client == "anthropic"
        self._betas = betas
        self._chat = conversation(call.messages, self.left_out, _system_place(call))

    def body(self) -> Object:
        """Return the body, with fields that are empty."""
        if self._chat.lacks_thinking and _has_budget(self.given.get("thinking")):
            self.left_out.append("thinking")
            del self.given["thinking"]
        tools = tools_of(
            self._take("tools"), self.left_out, self._betas, own_client=self._own_client
        )
        choice = self._tool_choice(tools)
        forced = choice is not None and choice["type"] in ("any", "tool")
        limit = self._take("max_tokens")
        thinking, effort = self._thinking(limit, forced=forced)
        return {
            "model": self._model,
            "max_tokens": self._max_tokens(thinking) if limit is None else limit,
            "system": self._chat.system,
            "messages": [{"role": turn.role, "content": turn.parts} for turn in self._chat.turns],
            "tools": tools,
            "tool_choice": choice,
            "thinking": thinking,
            "output_config": self._output_config(effort),
            "stop_sequences": self._stop_sequences(),
            "metadata": self._metadata(),
            "service_tier": self._service_tier(),
            **self._sampling(thinks=thinking is not None and thinking.get("type") != "disabled"),
            "stream": True,
        }

    def _take(self, name: str) -> JSON:
        return self.given.pop(name, None)

    def _tool_choice(self, tools: list[Object]) -> Object | None:
        """Return the API's `tool_choice`, or None if the default (the model decides) applies."""
        requested, alone = self._take("tool_choice"), self._take("parallel_tool_calls") is False
        choice = choice_of(requested)
        if choice is None or (not tools and choice["type"] not in ("auto", "none")):
            self.left_out.append("tool_choice")
            choice = {"type": "auto"}
        if not tools or (requested is None and not alone):
            return None
        if alone and choice["type"] != "none":
            choice["disable_parallel_tool_use"] = True
        return choice

    def _thinking(self, limit: JSON, *, forced: bool) -> tuple[Object | None, str | None]:
        """Return `thinking` and the effort for `thinking` and `reasoning_effort`.

        The API's own `thinking` parameter is passed through unchanged. `limit` is the client's
        `max_tokens`. A budget is only possible if no tool is `forced`.
        """
        given, requested = self._take("thinking"), self._take("reasoning_effort")
        effort = lookup(_EFFORTS, requested)
        thinking: Object | None = None
        if isinstance(given, dict):
            thinking, effort = given, effort if given.get("type") == "adaptive" else None
        elif given is not None:
            self.left_out.append("thinking")
            effort = None
        elif effort is not None and self._traits.effort:
            # The newest models omit their thinking unless the request sets `display`.
            thinking = {"type": "adaptive", "display": "summarized"}
        elif effort is not None:
            possible = not (forced or self._chat.prefilled or self._chat.lacks_thinking)
            thinking = _budget(BUDGETS[str(requested)], limit) if possible else None
            effort = None
        expressed = effort or (given is None and thinking)
        if requested not in (None, "none") and not expressed:
            self.left_out.append("reasoning_effort")
        return thinking, effort

    def _max_tokens(self, thinking: Object | None) -> int:
        """Return the default of `max_tokens`, which the API requires."""
        budget = (thinking or {}).get("budget_tokens")
        most = budget + _ANSWER if isinstance(budget, int) and budget else 0
        return max(self._traits.max_tokens, most)

    def _output_config(self, effort: str | None) -> Object:
        """Return `output_config`: effort and output format.

        The API's own `output_config` wins over `reasoning_effort` and `response_format`.
        """
        given = self.given.pop("output_config", {})
        if not isinstance(given, dict):
            self.left_out.append("output_config")
            given = {}
        config: Object = {**given}
        for key, name, value in (
            ("effort", "reasoning_effort", effort),
            ("format", "response_format", self._format()),
        ):
            if value is not None and config.setdefault(key, value) != value:
                self.left_out.append(name)
        return config

    def _format(self) -> Object | None:
        """Return the output format; the API has no JSON mode without a schema."""
        match self._take("response_format"):
            case {"type": "json_schema", "json_schema": {"schema": dict(schema)}}:
                if self._own_client:
                    return {"type": "json_schema", "schema": schema}
                path = "response_format.json_schema.schema"
                return {
                    "type": "json_schema",
                    "schema": accepted_schema(schema, path, self.left_out),
                }
            case None | {"type": "text"}:
                return None
            case _:
                self.left_out.append("response_format")
                return None

    def _stop_sequences(self) -> list[str]:
        """Return the stop sequences; the API refuses those of white space only."""
        stop = self._take("stop")
        words = stop if isinstance(stop, list) else [stop]
        accepted = [word for word in words if isinstance(word, str) and word.strip()]
        if stop is not None and len(accepted) < len(words):
            self.left_out.append("stop")
        return accepted

    def _metadata(self) -> Object:
        """Return `user_id` from `user`, `safety_identifier` or `metadata`, the first that is valid.

        The API accepts no e-mail address, and at most 256 characters.
        """
        names = ("user", "safety_identifier")
        users = [(name, self.given.pop(name)) for name in names if name in self.given]
        match self._take("metadata"):
            case {"user_id": user, **rest} if not rest:
                users.append(("metadata", user))
            case metadata if metadata:
                users.append(("metadata", None))
        accepted: Object = {}
        for name, user in users:
            valid = isinstance(user, str) and 0 < len(user) <= _MAX_USER_ID and "@" not in user
            if valid and not accepted:
                accepted = {"user_id": user}
            else:
                self.left_out.append(name)
        return accepted

    def _service_tier(self) -> str | None:
        requested = self._take("service_tier")
        tier = lookup(_TIERS, requested)
        if requested is not None and tier is None:
            self.left_out.append("service_tier")
        return tier

    def _sampling(self, *, thinks: bool) -> Object:
        """Return `temperature`, `top_p` and `top_k`, as far as the model accepts them.

        With thinking on, only a `top_p` of at least 0.95 is accepted. `temperature` is at most 1.
        """
        accepted: Object = {}
        for name in ("temperature", "top_p", "top_k"):
            value = self._take(name)
            if value is None or (name != "top_k" and value == 1):
                continue
            fits = not thinks
            if name == "temperature":
                fits = fits and not (isinstance(value, int | float) and value > 1)
            elif name == "top_p":
                nearly_one = isinstance(value, int | float) and 0.95 <= value <= 1
                alone = self._traits.temperature_with_top_p or "temperature" not in accepted
                fits = (fits or nearly_one) and alone
            if self._traits.sampling and fits:
                accepted[name] = value
            else:
                self.left_out.append(name)
        return accepted


def _system_place(call: ModelCall) -> SystemPlace:
    """Return the places in which the model accepts system messages.

    A client of the same API is trusted to know them, unless the model is known to have none.
    """
    version = _version(call.upstream_model)
    within = version is not None and version >= _SYSTEM_WITHIN
    if call.client == "anthropic":
        return SystemPlace.ANY if within or version is None else SystemPlace.TOP
    within = within and not _WITHOUT_SYSTEM.search(call.upstream_model)
    return SystemPlace.ANSWERED if within else SystemPlace.TOP


def _budget(wanted: int, limit: JSON) -> Object | None:
    """Return thinking with a budget, or None if the client's `max_tokens` is too low."""
    if not isinstance(limit, int):
        limit = 2 * wanted
    elif limit <= _MIN_BUDGET:
        return None
    return {"type": "enabled", "budget_tokens": max(_MIN_BUDGET, min(wanted, limit // 2))}


def _has_budget(thinking: JSON) -> bool:
    """Return whether thinking has a budget.

    If so, the API requires the thinking that preceded a tool call to come back with its result.
    """
    return isinstance(thinking, dict) and thinking.get("type") == "enabled"


def _is_unsupported(name: str, value: JSON) -> bool:
    idle = is_default_value(name, value) or (name in _PENALTIES and value == 0)
    return name in _UNSUPPORTED and not idle
