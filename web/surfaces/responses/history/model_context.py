"""Finds the routes and the history of a request, and builds the messages that the model gets.

Warnings tell the client about messages and parameters that the model doesn't get.
"""

from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter

import trio
from msgspec import Struct

from actors.runtime.offload import Cost, is_much, off_loop
from actors.turn.events import Warning
from actors.turn.messages import AssistantMessage, Message, SystemMessage
from actors.turn.model_call import ModelCall
from web.http.api_error import invalid
from web.surfaces.responses.history.conversation import (
    Conversation,
    chat_parameters,
    conversation_of,
)
from web.surfaces.responses.history.history import Caller, LoadedHistory, load_history
from web.surfaces.responses.history.message_groups import MessageGroup
from web.surfaces.responses.history.references import with_referenced_items
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.request import ResponsesRequest
from web.turns.planner import TurnPlan

_AT_ONCE_S = 0.002
"""Seconds of token counting between checkpoints: a group takes 10 µs, but a large one 2 ms."""
_INSTRUCTION_ROLES = ("system", "developer")


class PreparedRequest(Struct, frozen=True):
    """A request, the routes that may answer it, and its conversation."""

    caller: Caller
    request: ResponsesRequest
    plan: TurnPlan
    history: LoadedHistory
    conversation: Conversation
    large: bool
    """True if work on the whole conversation may take more than 5 ms."""

    @property
    def items(self) -> list[Item]:
        """All items of the conversation, oldest first."""
        return [*self.history.chain.items, *self.request.input]


async def prepare(caller: Caller, request: ResponsesRequest) -> PreparedRequest:
    """Find the routes and the history of a request; raises `ApiError`.

    A large conversation is built in a thread.
    """
    service = caller.service
    plan = service.planner.find(request.model)
    history = await load_history(caller, request.past)
    request = await with_referenced_items(caller, request, history.chain)
    put_together = partial(conversation_of, request, history.chain)
    # References are counted as items, since their stored form is short.
    large = is_much(history.size + len(request.stored_input), Cost.CONVERSATION)
    large = large or is_much(len(request.input), Cost.EVENT)
    conversation = await off_loop(large, service.readers, put_together)
    return PreparedRequest(caller, request, plan, history, conversation, large)


class ModelContext(Struct, frozen=True):
    """The messages for the model, and warnings for the client about omissions."""

    messages: tuple[Message, ...]
    groups: list[MessageGroup]
    """The groups whose messages these are."""
    notes: tuple[Warning, ...]

    @property
    def has_reasoning(self) -> bool:
        """True if the messages include reasoning of earlier answers that no provider signed."""
        return any(
            isinstance(message, AssistantMessage)
            and any(one.api is None for one in message.reasoning)
            for message in self.messages
        )


async def model_context(prepared: PreparedRequest) -> ModelContext:
    """Build the messages for the model, in one of `threads` if they are large.

    Raises `ApiError` (400) if the request is `strict` and something has to be left out.
    """
    request, conversation = prepared.request, prepared.conversation
    notes = [*conversation.warnings]
    if request.strict and notes:
        raise invalid(" ".join(note.message for note in notes), code="unsupported_by_route")
    groups = conversation.groups
    if request.truncate:
        groups = await _truncated(prepared)
    if dropped := len(conversation.groups) - len(groups):
        text = (
            f"The {dropped} oldest parts of the conversation do not fit into the context window"
            " and were left out."
        )
        notes.append(Warning("truncated", text))
    instructions = _instruction_messages(conversation.instructions)
    messages = (message for group in groups for message in group.messages)
    return ModelContext((*instructions, *messages), groups, tuple(notes))


def _instruction_messages(instructions: str | None) -> tuple[Message, ...]:
    return (SystemMessage(instructions),) if instructions else ()


async def _truncated(prepared: PreparedRequest) -> list[MessageGroup]:
    """Return the groups that fit into the context window of the first route, if it is known."""
    request, conversation = prepared.request, prepared.conversation
    service = prepared.caller.service
    first = prepared.plan.routes[0]
    window = first.capabilities.context_window
    if window is None:
        return conversation.groups
    count_tokens = partial(service.estimates.estimate_input, str(first.route))
    longest = request.parameters.get("max_completion_tokens")
    instructions = _instruction_messages(conversation.instructions)
    parameters = chat_parameters(request, conversation)
    fixed = count_tokens(ModelCall(messages=instructions, parameters=parameters))
    room = window - fixed - (longest if isinstance(longest, int) else 0)
    counted = await count_groups(conversation.groups, count_tokens)
    return await off_loop(prepared.large, service.readers, lambda: fitting(counted, room))


class CountedGroup(Struct, frozen=True):
    """A message group with its estimated number of tokens."""

    group: MessageGroup
    tokens: int


async def count_groups(
    groups: Sequence[MessageGroup], count_tokens: Callable[[ModelCall], int]
) -> list[CountedGroup]:
    """Count the tokens of each group with `count_tokens`, with checkpoints in between.

    This cannot run in a thread, since only the event loop may use the learnt token ratios.
    """
    counted: list[CountedGroup] = []
    since = perf_counter()
    for group in groups:
        if perf_counter() - since > _AT_ONCE_S:
            await trio.lowlevel.checkpoint()
            since = perf_counter()
        call = ModelCall(messages=group.messages)
        counted.append(CountedGroup(group, count_tokens(call)))
    return counted


def fitting(groups: Sequence[CountedGroup], room: int) -> list[MessageGroup]:
    """Drop the oldest groups until the others take at most `room` tokens.

    Instructions and the last group always stay. If something is dropped, the rest begins with a
    user message, provided that it contains one.
    """
    excess = sum(counted.tokens for counted in groups) - room
    users = [place for place, counted in enumerate(groups) if counted.group.role == "user"]
    last_user = users[-1] if users else 0
    kept: list[MessageGroup] = []
    dropping = excess > 0
    for place, counted in enumerate(groups):
        group = counted.group
        headless = group.role != "user" and place < last_user
        if group.role in _INSTRUCTION_ROLES or place == len(groups) - 1:
            kept.append(group)
        elif dropping and (excess > 0 or headless):
            excess -= counted.tokens
        else:
            dropping = False
            kept.append(group)
    return kept
