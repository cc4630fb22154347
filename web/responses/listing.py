"""`GET /v1/responses/{id}/input_items`: what a response was asked, page by page.

Source: OpenAI's API reference, "List input items".
"""

from collections.abc import Iterator, Sequence
from typing import Literal

from msgspec import Struct

from actors.providers.base import JSON
from web.json_body import json_objects
from web.responses.items import Item, wrong

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_PREFIXES = {
    "message": "msg",
    "function_call": "fc",
    "function_call_output": "fco",
    "reasoning": "rs",
    "compaction": "cmp",
}


class Page(Struct, frozen=True, kw_only=True):
    """Which items are asked for; `after` and `before` are ids, in the order of the list."""

    limit: int = DEFAULT_LIMIT
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


def named_input(turn_id: str, input_items: str) -> Iterator[Item]:
    """The items that a turn was asked, with their ids: the client's own, or by their places."""
    bare = turn_id.removeprefix("turn_")
    for index, item in enumerate(json_objects(input_items)):
        if "id" not in item:
            prefix = _PREFIXES.get(str(item["type"]), "item")
            item["id"] = f"{prefix}_{bare}_in_{index}"
        yield item


def page_of(items: Sequence[Item], page: Page) -> dict[str, JSON]:
    """One page as a list object; raises `ApiError` (400) for a cursor that is no item of it."""
    listed = list(items) if page.order == "asc" else list(items)[::-1]
    ids = [item["id"] for item in listed]
    start = 0 if page.after is None else _place(ids, page.after, "after") + 1
    end = len(listed) if page.before is None else _place(ids, page.before, "before")
    within = listed[start:end]
    # Before an item without an `after` means the page that ends with it.
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
