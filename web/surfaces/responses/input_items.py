"""Lists the input items of a response for `GET /v1/responses/{id}/input_items`.

Source: OpenAI's API reference, "List input items".
"""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from quart import request

from actors.runtime.json_pieces import decoded
from actors.runtime.offload import Cost, is_much
from actors.turn.model_call import JSON
from web.http.body import limit_parameter
from web.surfaces.responses.input.items import Item
from web.surfaces.validation import wrong

_decode = msgspec.json.Decoder(list[Item]).decode
DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "custom_tool_call": "ctc",
    "custom_tool_call_output": "ctco",
    "reasoning": "rs",
    "compaction": "cmp",
}


class Page(Struct, frozen=True):
    """The pagination parameters of a request."""

    limit: int
    newest_first: bool
    after: str | None
    """Id of the item before the page, in the order of the list."""
    before: str | None
    """Id of the item after the page, in the order of the list."""


def requested_page() -> Page:
    """Return the page that the current request asks for; raises `ApiError` (400)."""
    args = request.args
    order = args.get("order", "desc")
    if order not in ("asc", "desc"):
        raise wrong("order", "must be asc or desc.")
    limit = limit_parameter(DEFAULT_LIMIT, MAX_LIMIT)
    return Page(limit, order == "desc", args.get("after"), args.get("before"))


def input_with_ids(turn_id: str, input_items: str) -> Iterator[Item]:
    """Yield the input items of a turn; items without an id get one from their index."""
    bare = turn_id.removeprefix("turn_")
    large = is_much(len(input_items), Cost.BODY)
    items = msgspec.convert(decoded(input_items), list[Item]) if large else _decode(input_items)
    for index, item in enumerate(items):
        yield with_id(item, bare, index)


def with_id(item: Item, bare: str, index: int) -> Item:
    """Return an item with its id, which may be made from the bare id of a turn and its index."""
    if "id" not in item:
        prefix = _PREFIXES.get(str(item["type"]), "item")
        item["id"] = f"{prefix}_{bare}_in_{index}"
    return item


def page_of(items: Sequence[Item], page: Page) -> dict[str, JSON]:
    """Return one page as a list object; raises `ApiError` (400) for an unknown cursor."""
    listed = list(items)[::-1] if page.newest_first else list(items)
    ids = [item["id"] for item in listed]
    start = 0 if page.after is None else _place(ids, page.after, "after") + 1
    end = len(listed) if page.before is None else _place(ids, page.before, "before")
    within = listed[start:end]
    # `before` without `after` requests the items just before that one, not the start of the list.
    backwards = page.before is not None and page.after is None
    shown = within[-page.limit :] if backwards else within[: page.limit]
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": len(shown) < len(within),
    }


def _place(ids: Sequence[JSON], id: str, name: str) -> int:
    if id not in ids:
        raise wrong(name, f"there is no item {id[:100]!r} in this list.")
    return ids.index(id)
