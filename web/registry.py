"""Registry: one line for each surface, provider format and guard.

An entry is `module:attribute`. Entries are text and not imports, so that every module can read
them without a cycle. The type of each object is checked when it is loaded.
"""

import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TypeVar

from actors.guards.spec import GuardSpec

T = TypeVar("T")

SURFACES: Sequence[str] = (
    "web.surfaces.chat_completions.routes:SURFACE",
    "web.surfaces.responses.routes:SURFACE",
    "web.surfaces.responses.websocket.routes:SURFACE",
    "web.surfaces.conversations.routes:SURFACE",
    "web.surfaces.messages.routes:SURFACE",
    "web.surfaces.embeddings.routes:SURFACE",
    "web.surfaces.models.routes:SURFACE",
    "web.surfaces.turns.routes:SURFACE",
    "web.surfaces.routes.routes:SURFACE",
    "web.surfaces.ops.routes:SURFACE",
)
"""`web.service.Surface` objects."""

FORMATS: Sequence[str] = (
    "actors.providers.formats.openai_chat.decoder:FORMAT",
    "actors.providers.formats.openai_responses.decoder:FORMAT",
    "actors.providers.responses_websocket:FORMAT",
    "actors.providers.formats.anthropic.decoder:FORMAT",
    "actors.providers.formats.gemini.decoder:FORMAT",
    "actors.providers.formats.ollama.decoder:FORMAT",
)
"""`actors.providers.formats.base.FormatSpec` objects."""

GUARDS: Sequence[str] = (
    "actors.guards.checks.system_prompt_leak:GUARD",
    "actors.guards.checks.boundary_markers:GUARD",
    "actors.guards.checks.internal_protocol:GUARD",
    "actors.guards.checks.delegation:GUARD",
    "actors.guards.checks.current_events:GUARD",
    "actors.guards.checks.personality:GUARD",
    "actors.guards.checks.internal_jargon:GUARD",
    "actors.guards.checks.non_repetition:GUARD",
    "actors.guards.checks.execution_truth:GUARD",
    "actors.guards.checks.narrated_delegation:GUARD",
    "actors.guards.checks.false_completion:GUARD",
    "actors.guards.checks.financial_claim:GUARD",
    "actors.guards.checks.task_deferral:GUARD",
    "actors.guards.checks.model_identity:GUARD",
    "actors.guards.checks.literary_quote:GUARD",
    "actors.guards.checks.low_value:GUARD",
    "actors.guards.checks.empty_answer:GUARD",
    "actors.guards.checks.user_echo:GUARD",
    "actors.guards.checks.self_repetition:GUARD",
    "actors.guards.checks.injected_instructions:GUARD",
    "actors.guards.checks.secrets:GUARD",
    "actors.guards.checks.personal_data:GUARD",
)
"""`actors.guards.spec.GuardSpec` objects, in the order of the chain."""


def load(entries: Sequence[str], kind: type[T]) -> list[T]:
    """Return the objects that the entries name. Raises `TypeError` if one is not a `kind`."""
    return [_load(entry, kind) for entry in entries]


@cache
def guards() -> Mapping[str, GuardSpec]:
    """Return the output guards by name, in the order of the chain."""
    return {guard.name: guard for guard in load(GUARDS, GuardSpec)}


def _load(entry: str, kind: type[T]) -> T:
    found: object = pkgutil.resolve_name(entry)
    if not isinstance(found, kind):
        raise TypeError(f"{entry} is a {type(found).__name__}, not a {kind.__name__}")
    return found
