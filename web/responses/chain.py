"""What a response goes on from: the items of those before it, and what holds on of them. Pure."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.answer_items import decode_items
from actors.outcome import TERMINAL, ErrorInfo
from store.records import ChainLink
from web.dialects.responses_items import output_items, response_id
from web.errors import ApiError, not_found
from web.responses.items import Item
from web.responses.listing import named_input

MOST_LINKS = 2_000
"""Responses of one chain that are read. A request has at most 10,000 items."""


class Echo(Struct, frozen=True, omit_defaults=True):
    """What holds on of that which a response repeats of its request."""

    instructions: str | None = None


class Options(Struct, frozen=True, omit_defaults=True):
    """The same of its dialect's options."""

    echo: Echo = Echo()


_read_options = msgspec.json.Decoder(Options).decode


class Chain(Struct, frozen=True, kw_only=True):
    """A history."""

    items: list[Item] = []
    instructions: str | None = None
    cut: bool = False
    """There was more before it than is read."""
    gaps: int = 0
    """Responses in it that were deleted."""


def chain_before(links: Sequence[ChainLink], asked_for: str) -> Chain:
    """The chain that ends with the response `asked_for`.

    Raises `ApiError`: 404 where one of them is not there or not kept, 409 where the last is not
    over.
    """
    for link in links:
        if link.lost is not None:
            raise _lost(link, asked_for)
    if not links:
        raise previous_not_found(asked_for)
    return _chain(links)


def chain_in_conversation(links: Sequence[ChainLink]) -> Chain:
    """The chain of a conversation, out of which responses may have been deleted."""
    kept = [link for link in links if link.lost is None]
    chain = _chain(kept) if kept else Chain()
    return replace(chain, gaps=len(links) - len(kept))


def previous_not_found(id: str) -> ApiError:
    """A 404: nobody can go on from this response."""
    text = f"There is no response {id[:100]!r} that can be gone on from."
    return not_found(text, code="previous_response_not_found", param="previous_response_id")


def in_progress(id: str) -> ApiError:
    """A 409: this response is not over yet."""
    text = f"Response {id!r} is still in progress. Wait for its end, or cancel it."
    return ApiError(
        ErrorInfo(
            status=409,
            message=text,
            type="invalid_request_error",
            code="previous_response_in_progress",
            param="previous_response_id",
        )
    )


def _lost(link: ChainLink, asked_for: str) -> ApiError:
    id = response_id(link.turn_id)
    if id == asked_for:
        return previous_not_found(id)
    text = f"Response {asked_for!r} goes on from {id!r}, which is not there any more."
    return not_found(text, code="previous_response_not_found", param="previous_response_id")


def _chain(links: Sequence[ChainLink]) -> Chain:
    last = links[-1]
    if last.status not in TERMINAL:
        raise in_progress(response_id(last.turn_id))
    return Chain(
        items=[item for link in links for item in _items(link)],
        instructions=instructions_of(last.dialect_options),
        cut=links[0].previous_id is not None,
    )


def instructions_of(dialect_options: str) -> str | None:
    """The instructions that a response had, its own or inherited."""
    return _read_options(dialect_options).echo.instructions


def _items(link: ChainLink) -> Iterator[Item]:
    """What was asked and what was answered."""
    yield from named_input(link.turn_id, link.input_items)
    yield from output_items(link.turn_id, decode_items(link.answer_items))
