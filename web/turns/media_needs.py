"""Finds the routes that can take the media of a request, and what has to be left out of it. Pure.

Media of the newest message must reach the model, or the request is refused. Those of earlier ones
are replaced by a text if no route can take them: otherwise one picture would end a conversation.
"""

from collections.abc import Mapping, Sequence, Set

from msgspec import Struct
from msgspec.structs import replace

from actors.providers.formats.media import capability_of, without_media
from actors.turn.events import Warning
from actors.turn.model_call import Capabilities, ModelCall
from actors.turn.request import PlannedRoute
from web.http.api_error import ApiError, invalid

CODE = "unsupported_by_route"


class MediaNeeds(Struct, frozen=True):
    """The kinds of media in a request (`actors.providers.formats.media`)."""

    newest: Mapping[str, str] = {}
    """Kinds in the newest message, by their paths in the request."""
    earlier: frozenset[str] = frozenset()
    """Kinds in earlier messages; may include those of the newest."""

    @staticmethod
    def of(media: Mapping[str, str], newest: str) -> "MediaNeeds":
        """Return the needs of a request with these media; paths in its newest message begin so."""
        found = {path: kind for path, kind in media.items() if path.startswith(newest)}
        return MediaNeeds(found, frozenset(media.values()))

    @property
    def kinds(self) -> frozenset[str]:
        """All kinds."""
        return self.earlier | frozenset(self.newest.values())


class TakenMedia(Struct, frozen=True):
    """The kinds of media that a route can take."""

    api: str | None
    """API of its format, or None for a simulated provider, which runs no tools."""
    kinds: frozenset[str] | None
    """Kinds that its format has, or None for all."""
    capabilities: Capabilities

    def lacks(self, kind: str) -> str | None:
        """Return the reason for which the route cannot take a kind, such as `no_files`."""
        capability = capability_of(kind)
        able: bool = getattr(self.capabilities, capability)
        has = self.kinds is None or kind in self.kinds
        return None if able and has else f"no_{capability}"

    def lacks_any(self, kinds: Set[str]) -> str | None:
        """Return the reason for which the route cannot take all of these kinds, or None."""
        return next((lack for kind in sorted(kinds) if (lack := self.lacks(kind))), None)


class Fitting(Struct, frozen=True):
    """Routes and a call that fit the media of the call."""

    routes: tuple[PlannedRoute, ...]
    call: ModelCall
    notes: tuple[Warning, ...] = ()


def fit_media(
    given: Fitting, taken: Sequence[TakenMedia], needs: MediaNeeds, *, strict: bool
) -> Fitting:
    """Return the routes, marked as unfit if they cannot take the media, and the call for them.

    Raises `ApiError` (400) if no route can take the media of the newest message or, if the request
    is `strict`, of earlier ones.
    """
    lost = _lost(taken, needs)
    kinds = ", ".join(sorted(lost))
    if lost and strict:
        raise _refused(f"earlier messages have {kinds}", None)
    lacks = [one.lacks_any(needs.kinds - lost) for one in taken]
    pairs = zip(given.routes, lacks, strict=True)
    routes = tuple(replace(route, unfit=route.unfit or lack) for route, lack in pairs)
    if not lost:
        return replace(given, routes=routes)
    text = f"Replaced by a text in earlier messages: {kinds}, which no route of the model can read."
    call = replace(given.call, messages=without_media(given.call.messages, lost))
    return Fitting(routes, call, (Warning("media_replaced", text),))


def _lost(taken: Sequence[TakenMedia], needs: MediaNeeds) -> frozenset[str]:
    """Return the kinds that no route can take; raises `ApiError` (400) if the newest are lost."""
    newest = frozenset(needs.newest.values())
    able = [one for one in taken if not one.lacks_any(newest)]
    if not able:
        path = next(path for path, kind in needs.newest.items() if taken[0].lacks(kind))
        raise _refused(f"{path} is of the kind {needs.newest[path]}", path)
    if not all(one.lacks_any(needs.kinds) for one in able):
        return frozenset()
    lost = frozenset(kind for kind in needs.earlier if all(one.lacks(kind) for one in able))
    rest = needs.kinds - lost
    return lost if any(not one.lacks_any(rest) for one in able) else needs.earlier - newest


def _refused(what: str, path: str | None) -> ApiError:
    text = f"No route of this model can take all media of the request: {what}."
    return invalid(text, param=path, code=CODE)
