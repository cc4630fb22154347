"""Repairs the tool calls of a history, which servers and clients number in many ways. Pure.

Servers that number the calls of each answer from `call_0` on make histories in which an id occurs
again, and some clients lose ids or send numbers. Providers refuse such histories, or pair a result
with the wrong call. Arguments that are blank fail in servers that decode them (vllm#19419).
"""

from collections import deque
from collections.abc import Sequence
from hashlib import sha256
from itertools import islice

from msgspec import Struct
from msgspec.structs import replace

from actors.turn import messages as chat

_LONGEST_ID = 64
"""Maximum characters of a call's id in OpenAI's API; others have no lower limit."""
_MOST_NAMED = 100
"""Calls among which a result without an id is searched by its name, to bound the time."""

Call = chat.ToolCall | chat.CustomToolCall


def repaired(messages: tuple[chat.Message, ...]) -> tuple[chat.Message, ...]:
    """Return the messages with unique call ids, paired results and arguments that aren't blank.

    A result belongs to the nearest call before it that has its id and no result yet. A result
    without an id belongs to the first call without a result in the nearest message with one.
    """
    history = _History()
    return tuple(history.message(message, index) for index, message in enumerate(messages))


def has_calls(messages: Sequence[chat.Message]) -> bool:
    """Return whether the history has tool calls; most have none."""
    return any(isinstance(one, chat.AssistantMessage) and one.tool_calls for one in messages)


def is_blank(arguments: str) -> bool:
    """Return whether a call has no arguments, for which servers and clients need `{}`."""
    return arguments.strip() in ("", "null")


def call_ids(messages: Sequence[chat.Message]) -> frozenset[str]:
    """Return the ids of all tool calls in the messages."""
    return frozenset(
        call.id
        for message in messages
        if isinstance(message, chat.AssistantMessage)
        for call in message.tool_calls
        if isinstance(call, Call) and call.id
    )


class _Pending(Struct, eq=False):
    """A call, for which a result may follow."""

    name: str
    id: str
    answered: bool = False


_Calls = tuple[chat.AnyToolCall, ...]
_Round = deque[_Pending]
"""Calls of one assistant's message."""


class _History:
    """The calls so far; messages are added in order."""

    def __init__(self) -> None:
        self._used: dict[str, int] = {}
        """Ids that are sent, with the number of calls that wanted each."""
        self._rounds: list[_Round] = []
        """All calls, the nearest message's last."""
        self._by_id: dict[str | None, list[_Round]] = {}
        """Calls by the id that the client sent, the nearest message's last."""
        self._latest: dict[str, _Pending] = {}
        """The latest call of each id, answered or not."""

    def message(self, message: chat.Message, index: int) -> chat.Message:
        """Return the message at an index of the history with the ids that are sent."""
        match message:
            case chat.AssistantMessage(tool_calls=calls) if calls:
                made = self._round(calls, index)
                return replace(message, tool_calls=made) if made != calls else message
            case chat.ToolMessage(role="tool", tool_call_id=given):
                call = self._called(given or None, message.name)
                if call is not None:
                    call.answered = True
                    return message if given == call.id else replace(message, tool_call_id=call.id)
        return message

    def _round(self, calls: _Calls, index: int) -> _Calls:
        round: _Round = deque()
        by_id: dict[str | None, _Round] = {}
        made: list[chat.AnyToolCall] = []
        for at, call in enumerate(calls):
            if not isinstance(call, chat.OtherToolCall):
                pending = _Pending(call.name, self._unique(call.id, f"{index}_{at}"))
                round.append(pending)
                by_id.setdefault(call.id or None, deque()).append(pending)
                call = _with_id(call, pending.id)
            made.append(call)
        self._rounds.append(round)
        for id, same in by_id.items():
            self._by_id.setdefault(id, []).append(same)
            if id:
                self._latest[id] = same[-1]
        return tuple(made)

    def _unique(self, id: str | None, place: str) -> str:
        """Return the id, or one like it that doesn't occur in the history.

        It depends only on the history up to the call, since other text would miss the provider's
        prompt cache.
        """
        unique = wanted = _within_limit(id) if id else f"call_{place}"
        while unique in self._used:
            self._used[wanted] += 1
            unique = _within_limit(f"{wanted}_{self._used[wanted]}")
        self._used[unique] = 1
        return unique

    def _called(self, id: str | None, name: str | None) -> _Pending | None:
        """Return the call that a result belongs to, or None if there is none."""
        if id is not None:
            same = _nearest(self._by_id.get(id))
            if same:
                return same[0]
            return self._latest.get(id) or next(iter(_nearest(self._by_id.get(None))), None)
        waiting = _nearest(self._rounds)
        named = (call for call in islice(waiting, _MOST_NAMED) if not call.answered)
        return next((call for call in named if call.name == name), next(iter(waiting), None))


def _nearest(rounds: list[_Round] | None) -> _Round:
    """Return the last round that begins with a call without a result; drop what is answered."""
    while rounds:
        while rounds[-1] and rounds[-1][0].answered:
            rounds[-1].popleft()
        if rounds[-1]:
            return rounds[-1]
        rounds.pop()
    return deque()


def _with_id(call: Call, id: str) -> Call:
    blank = isinstance(call, chat.ToolCall) and is_blank(call.arguments)
    if isinstance(call, chat.ToolCall) and blank:
        return replace(call, id=id, arguments="{}")
    return call if call.id == id else replace(call, id=id)


def _within_limit(id: str) -> str:
    if len(id) <= _LONGEST_ID:
        return id
    return "call_" + sha256(id.encode("utf-8", "surrogatepass")).hexdigest()[:32]
