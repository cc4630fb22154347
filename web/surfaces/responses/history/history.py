"""Builds the history of a response from the stored responses before it. Pure."""

from collections.abc import Iterator, Sequence

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from actors.answer.codec import decode_items
from actors.turn.outcome import TERMINAL, ErrorInfo
from store.records.turn_records import ChainLink
from web.dialects.openai_responses.items import output_items, response_id
from web.http.api_error import ApiError, not_found
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input_items import input_with_ids

MAX_LINKS = 2_000
"""Maximum number of responses read from one chain; a request has at most 10,000 items."""


class Echo(Struct, frozen=True, omit_defaults=True):
    """Echoed request fields that later responses inherit."""

    instructions: str | None = None


class Options(Struct, frozen=True, omit_defaults=True):
    """The part of the dialect options that later responses inherit."""

    echo: Echo = Echo()


_read_options = msgspec.json.Decoder(Options).decode


class Chain(Struct, frozen=True, kw_only=True):
    """The history before a request."""

    items: list[Item] = []
    """Items, oldest first."""
    instructions: str | None = None
    """Instructions of the last response, which the request inherits."""
    cut: bool = False
    """True if older responses exist that were not read."""
    gaps: int = 0
    """Number of deleted responses in it."""


def chain_before(links: Sequence[ChainLink], previous_id: str) -> Chain:
    """Return the history that ends with the response `previous_id`.

    Raises `ApiError`: 404 if one of the responses does not exist or is not stored, 409 if the last
    one is still in progress.
    """
    for link in links:
        if link.lost is not None:
            raise _lost(link, previous_id)
    if not links:
        raise previous_not_found(previous_id)
    return _chain(links)


def chain_in_conversation(links: Sequence[ChainLink]) -> Chain:
    """Return the history of a conversation without its deleted responses."""
    kept = [link for link in links if link.lost is None]
    chain = _chain(kept) if kept else Chain()
    return replace(chain, gaps=len(links) - len(kept))


def previous_not_found(id: str) -> ApiError:
    """Return a 404 for a response that cannot be continued."""
    text = f"Response {id[:100]!r} does not exist, or is not stored and cannot be continued."
    return not_found(text, code="previous_response_not_found", param="previous_response_id")


def in_progress(id: str) -> ApiError:
    """Return a 409 for a previous response that has not ended."""
    text = f"Response {id!r} is still in progress. Wait until it ends, or cancel it."
    return ApiError(
        ErrorInfo(
            status=409,
            message=text,
            type="invalid_request_error",
            code="previous_response_in_progress",
            param="previous_response_id",
        )
    )


def _lost(link: ChainLink, previous_id: str) -> ApiError:
    id = response_id(link.turn_id)
    if id == previous_id:
        return previous_not_found(id)
    text = f"Response {previous_id!r} continues {id!r}, which was deleted or is not stored."
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
    """Return the instructions of a response, its own or inherited."""
    return _read_options(dialect_options).echo.instructions


def _items(link: ChainLink) -> Iterator[Item]:
    """Yield the input items and the output items of a response."""
    yield from input_with_ids(link.turn_id, link.input_items)
    yield from output_items(link.turn_id, decode_items(link.answer_items))
