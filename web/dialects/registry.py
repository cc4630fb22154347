"""Registry of the dialects: stream, whole object and errors of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from actors.answer.builder import AnswerBuilder
from actors.turn.events import AnyEvent, Ended
from actors.turn.model_call import JSON
from actors.turn.outcome import Reason
from web.dialects.anthropic_messages import message
from web.dialects.anthropic_messages import stream as messages
from web.dialects.base import DialectStream
from web.dialects.frames import Cursor
from web.dialects.openai_chat import completion as chat_completion
from web.dialects.openai_chat import stream as openai_chat
from web.dialects.openai_responses import response as response_object
from web.dialects.openai_responses import stream as responses

Options = Mapping[str, JSON]
"""The dialect's options from the client's request, as stored with the turn."""


class Whole(Protocol):
    """A builder of the object that answers a non-streaming request."""

    def __call__(
        self, journal: list[AnyEvent], options: Options, answer: AnswerBuilder | None = None, /
    ) -> object:
        """Return the object of an ended turn; `answer` is the fold of its journal, if known."""


@dataclass(frozen=True, slots=True)
class DialectSpec:
    """Specification of one dialect."""

    name: str
    """The name used in turns and in frame ids."""
    stream: Callable[[Options, Cursor], DialectStream]
    """Starts a stream after the cursor."""
    whole: Whole
    """Builds the object for a non-streaming request."""
    can_express: Callable[[Ended], bool]
    """Returns whether the object can express this end; if not, the response is an error."""
    finishes: frozenset[Reason] = frozenset(openai_chat.FINISH_REASONS)
    """Reasons that a stream can express even without content before them."""


def _chat_whole(
    journal: list[AnyEvent], options: Options, answer: AnswerBuilder | None = None
) -> object:
    return chat_completion.completion(journal, answer)


def _messages_whole(
    journal: list[AnyEvent], options: Options, answer: AnswerBuilder | None = None
) -> object:
    return message.message(journal, answer)


DIALECTS: Mapping[str, DialectSpec] = {
    spec.name: spec
    for spec in (
        DialectSpec(
            name=openai_chat.NAME,
            stream=openai_chat.OpenAIChat,
            whole=_chat_whole,
            can_express=chat_completion.has_finish,
        ),
        DialectSpec(
            name=responses.NAME,
            stream=responses.Responses,
            whole=response_object.response_object,
            can_express=response_object.can_express,
            finishes=response_object.ANSWER_REASONS,
        ),
        DialectSpec(
            name=messages.NAME,
            stream=messages.Messages,
            whole=_messages_whole,
            can_express=message.has_stop,
            finishes=frozenset(messages.STOP_REASONS),
        ),
    )
}
"""All dialects by name."""
