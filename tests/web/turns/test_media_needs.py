"""Tests of the routes that are chosen for media, and of what is left out for them."""

from itertools import product

import pytest

from actors.turn.messages import AudioPart, FilePart, TextPart, UserMessage
from actors.turn.model_call import Capabilities, ModelCall, Route
from actors.turn.request import PlannedRoute, Timeouts
from web.http.api_error import ApiError
from web.turns.media_needs import Fitting, MediaNeeds, TakenMedia, fit_media

KINDS = ("audio", "image", "pdf")
CALL = ModelCall(
    messages=(
        UserMessage((FilePart("data:application/pdf;base64,AAAA"), AudioPart("AAAA", "wav"))),
        UserMessage((TextPart("Hi"), AudioPart("AAAA", "wav"))),
    )
)


def fitting(taken: list[set[str]], newest: set[str], earlier: set[str]) -> Fitting:
    """Return the result for routes that take these kinds."""
    routes = tuple(PlannedRoute(Route("up", str(n)), Timeouts()) for n in range(len(taken)))
    media = [TakenMedia(None, frozenset(kinds), Capabilities()) for kinds in taken]
    paths = {f"messages[1].content[{n}]": kind for n, kind in enumerate(sorted(newest))}
    needs = MediaNeeds(paths, frozenset(earlier))
    return fit_media(Fitting(routes, CALL), media, needs, strict=False)


SETS = [set[str](), {"audio"}, {"pdf"}, {"audio", "pdf"}]


@pytest.mark.parametrize(("first", "second", "newest", "earlier"), [*product(SETS, repeat=4)])
def test_routes_and_losses(
    first: set[str], second: set[str], newest: set[str], earlier: set[str]
) -> None:
    able = [taken for taken in (first, second) if newest <= taken]
    if not able:
        with pytest.raises(ApiError) as refused:
            fitting([first, second], newest, earlier)
        assert refused.value.info.status == 400
        path = refused.value.info.param
        assert path is not None
        assert sorted(newest)[int(path[-2])] not in first
        return
    found = fitting([first, second], newest, earlier)
    used = [route for route in found.routes if route.unfit is None]
    assert used, "a route must be left"
    lost = {kind for kind in earlier if not any(newest | {kind} <= one for one in able)}
    kept = newest | earlier - lost
    whole = any(kept <= one for one in able)
    for route, taken in zip(found.routes, (first, second), strict=True):
        assert (route.unfit is None) is ((kept if whole else newest) <= taken)
    assert bool(found.notes) is bool(lost or not whole)
    assert (found.call == CALL) is not (bool(found.notes))


def test_capabilities_exclude_media_that_the_format_has() -> None:
    taken = TakenMedia("x", frozenset(KINDS), Capabilities(images=False, audio=False))
    assert [taken.lacks(kind) for kind in KINDS] == ["no_audio", "no_images", None]
    assert taken.lacks("video") == "no_video"
    everything = TakenMedia(None, None, Capabilities(files=False))
    assert [everything.lacks(kind) for kind in ("pdf/url", "file/openai", "audio")] == [
        "no_files",
        "no_files",
        None,
    ]
