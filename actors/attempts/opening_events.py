"""Opening events: the events that an attempt sends when its provider begins to answer.

The first attempt sends `started` and the notes on the request, later ones a change of route and a
retry of the answer. Each one reports the parameters that its route ignores. The module does no I/O.
"""

from actors.turn import events
from actors.turn.events import AnyEvent
from actors.turn.model_call import Route
from actors.turn.state import Turn

_MAX_PATHS = 20
"""Maximum number of parameter paths listed in a message."""
_MAX_PATH_CHARS = 100
"""Maximum number of characters shown of each path."""


def opening(
    turn: Turn, route: Route, *, changed: str, restart: str | None, ignored: tuple[str, ...] = ()
) -> list[AnyEvent]:
    """Return the opening events of an attempt and record `route` as the one that answers.

    `changed` is the reason for a change of route; `restart` the reason for a retry, or None.
    `ignored` are the parameters that the route ignores.
    """
    before, turn.answered_by = turn.answered_by, route
    opened: list[AnyEvent] = []
    if before is None:
        opened += [turn.started(route), *turn.request.notes]
    elif before != route:
        opened.append(events.RouteChanged(route.provider, route.upstream_model, changed))
    if restart is not None:
        turn.steps[-1].discard()
        opened.append(events.Retry(restart))
    if ignored:
        text = f"{route} does not support {join_paths(ignored)}."
        opened.append(events.Warning("parameter_ignored", text))
    return opened


def join_paths(paths: tuple[str, ...]) -> str:
    """List parameter paths, shortened, because the client controls their number and length."""
    shown = ", ".join(path[:_MAX_PATH_CHARS] for path in paths[:_MAX_PATHS])
    more = len(paths) - _MAX_PATHS
    return shown + (f" and {more} more" if more > 0 else "")
