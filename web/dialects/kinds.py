"""The dialects that there are, and all that a surface must know of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from actors.answer_items import Item
from actors.events import AnyEvent, Ended
from actors.outcome import ErrorInfo, Reason
from actors.providers.base import JSON
from web.dialects import (
    chat_completion,
    message,
    messages,
    openai_chat,
    response_object,
    responses,
)
from web.dialects.frames import Cursor
from web.dialects.rendering import Rendering
from web.error_shapes import messages_error
from web.errors import error_body

Options = Mapping[str, JSON]
"""What the client asked of the rendering, as it stands in the turn."""


class Whole(Protocol):
    """Makes the object of a turn that is over and whose end the dialect `tells`."""

    def __call__(
        self, journal: list[AnyEvent], options: Options, items: Sequence[Item] | None = None, /
    ) -> object:
        """`items` are those of its answer, if somebody has made them already."""


@dataclass(frozen=True, slots=True)
class DialectKind:
    """One dialect."""

    name: str
    """As it stands in turns and in the ids of frames."""
    stream: Callable[[Options, Cursor], Rendering]
    """Renders a stream, from after the cursor on."""
    whole: Whole
    tells: Callable[[Ended], bool]
    """Whether a whole object can tell this end truthfully; else it is an error."""
    error: Callable[[ErrorInfo], object] = error_body
    """The body of an error response."""
    finishes: frozenset[Reason] = frozenset(openai_chat.FINISH_REASONS)
    """Ends that a stream can tell even where nothing was said before them."""


def _chat_whole(
    journal: list[AnyEvent], options: Options, items: Sequence[Item] | None = None
) -> object:
    return chat_completion.completion(journal)


def _messages_whole(
    journal: list[AnyEvent], options: Options, items: Sequence[Item] | None = None
) -> object:
    return message.message(journal, items)


KINDS: Mapping[str, DialectKind] = {
    kind.name: kind
    for kind in (
        DialectKind(
            name=openai_chat.NAME,
            stream=openai_chat.OpenAIChat,
            whole=_chat_whole,
            tells=chat_completion.has_finish,
        ),
        DialectKind(
            name=responses.NAME,
            stream=responses.Responses,
            whole=response_object.response_object,
            tells=response_object.tells,
            finishes=response_object.TOLD,
        ),
        DialectKind(
            name=messages.NAME,
            stream=messages.Messages,
            whole=_messages_whole,
            tells=message.has_stop,
            error=messages_error,
            finishes=frozenset(messages.STOP_REASONS),
        ),
    )
}
"""By name."""
