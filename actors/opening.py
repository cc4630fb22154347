"""How an attempt opens in the journal: what readers are told once a provider has begun to answer.

Pure. `started` comes once in a turn, and what there is to note of the request; after it a change of
the route, the loss of what was said, and what the route leaves out of the request.
"""

from actors import events
from actors.events import AnyEvent
from actors.providers.base import Route
from actors.turn import Turn

_FIRST = 20
"""Paths of a request that one message names, …"""
_LONGEST = 100
"""… and characters of each."""


def opening(
    turn: Turn, route: Route, *, input_estimate: int, changed: str, restart: str | None
) -> list[AnyEvent]:
    """The events. `changed`: why another route than before; `restart`: why all is said anew."""
    before, turn.answered_by = turn.answered_by, route
    if before is None:
        return [_started(turn, route, input_estimate), *turn.request.notes]
    told: list[AnyEvent] = []
    if before != route:
        told.append(events.RouteChanged(route.provider, route.upstream_model, changed))
    if restart is not None:
        told.append(events.Retry(restart))
    return told


def left_out(route: Route, unsaid: tuple[str, ...]) -> list[AnyEvent]:
    """The warning about what a route cannot be asked for; nothing where there is nothing."""
    if not unsaid:
        return []
    text = f"{route} cannot be asked for {listed(unsaid)}."
    return [events.Warning("parameter_ignored", text)]


def listed(paths: tuple[str, ...]) -> str:
    """The first of these paths, which are as many and as long as the client likes."""
    shown = ", ".join(path[:_LONGEST] for path in paths[:_FIRST])
    return shown + (f" and {len(paths) - _FIRST} more" if len(paths) > _FIRST else "")


def _started(turn: Turn, route: Route, input_estimate: int) -> events.Started:
    return events.Started(
        turn_id=turn.id,
        model=turn.request.model,
        provider=route.provider,
        upstream_model=route.upstream_model,
        created_at=turn.created_at,
        input_estimate=input_estimate,
    )
