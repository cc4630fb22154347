"""Encode and decode the items of an answer, and detect long answers.

Work on a long answer is offloaded to a thread so that it doesn't block the event loop.
"""

from collections.abc import Callable, Sequence
from operator import attrgetter

import msgspec

from actors.answer.items import Item
from actors.runtime.json_pieces import decoded, encoded
from actors.runtime.offload import BUDGET, Cost, is_much
from actors.turn import events
from actors.turn.events import AnyEvent, Text

_TEXTS: dict[type[AnyEvent], Callable[[AnyEvent], str]] = {
    **dict.fromkeys((Text, events.Reasoning, events.Refusal), attrgetter("delta")),
    **dict.fromkeys((events.ToolCallDelta, events.ToolCall), attrgetter("arguments")),
    events.Replace: attrgetter("text"),
    events.NativeItem: attrgetter("item"),
}

_decode = msgspec.json.Decoder(list[Item]).decode


def is_long(journal: Sequence[AnyEvent]) -> bool:
    """Return True if assembling the answer may take over 5 ms; the check takes under 1 ms."""
    return is_much(len(journal), Cost.EVENT) or sum(map(_cost, journal)) > BUDGET


def _cost(event: AnyEvent) -> int:
    text_of = _TEXTS.get(type(event))
    if text_of is None:
        return 0
    logprobs = event.logprobs if type(event) is Text else None
    cost = Cost.ANSWER_TEXT * len(text_of(event))
    return cost + (Cost.LOGPROBS * len(logprobs) if logprobs else 0)


def encode_items(items: Sequence[Item]) -> str | None:
    """Encode items as a JSON array for storage, or return None for no items."""
    return encoded(items).decode() if items else None


def decode_items(data: str) -> list[Item]:
    """Decode stored items; raises `msgspec.MsgspecError` for any other content."""
    if is_much(len(data), Cost.ITEM_TEXT):
        return msgspec.convert(decoded(data), list[Item])
    return _decode(data)
