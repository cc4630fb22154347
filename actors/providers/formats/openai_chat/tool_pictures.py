"""Moves pictures and other media of tool results to a user message behind the results. Pure.

A `tool` message holds text only: OpenAI answers 400 to a picture in it (OpenHands#7700).
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from actors.turn import messages as chat

_STAYING = chat.TextPart | chat.RefusalPart | chat.OtherPart


def with_pictures_behind(messages: Iterable[chat.Message]) -> Iterator[chat.Message]:
    """Yield the messages, with the media of each round's results in a user message behind it.

    A user message that follows the results gets them, since some servers want roles to alternate.
    """
    moved: list[chat.Part] = []
    for message in messages:
        if isinstance(message, chat.ToolMessage):
            yield _without_media(message, moved)
            continue
        if moved and isinstance(message, chat.UserMessage) and not message.extras:
            message = replace(message, content=(*moved, *chat.parts_of(message.content)))
        elif moved:
            yield chat.UserMessage(tuple(moved))
        moved = []
        yield message
    if moved:
        yield chat.UserMessage(tuple(moved))


def _without_media(result: chat.ToolMessage, moved: list[chat.Part]) -> chat.ToolMessage:
    """Return the result without its media, which are added to `moved` with a text about them."""
    content = result.content
    if content is None or isinstance(content, str):
        return result
    media = [part for part in content if not isinstance(part, _STAYING)]
    if not media:
        return result
    staying = [part for part in content if isinstance(part, _STAYING)]
    call = f" {result.tool_call_id}" if result.tool_call_id else ""
    moved += [chat.TextPart(f"From the result of tool call{call}:"), *media]
    match staying:
        case []:
            return replace(result, content="The result follows in the next user message.")
        case [chat.TextPart(text, extras)] if not extras:
            return replace(result, content=text)
    return replace(result, content=tuple(staying))
