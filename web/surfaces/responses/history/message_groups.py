"""Converts items to messages, in groups that are kept or dropped together. Pure.

Chat Completions requires the calls of a model in one message, directly followed by their results,
wherever they were among the items. These messages are one group, with the reasoning that led to the
calls. Every other message is a group by itself, and so is an item that is not a message in Chat.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from msgspec import Struct, json
from msgspec.structs import replace

from actors.providers.formats.openai_responses.frames import API
from actors.turn import messages
from actors.turn.messages import (
    AnyToolCall,
    Content,
    CustomToolCall,
    Message,
    Reasoning,
    ToolCall,
    ToolMessage,
    parts_of,
    unsealed,
)
from actors.turn.model_call import JSON
from web.surfaces.responses.history.message_content import content_of, kinds_in
from web.surfaces.responses.input.compaction_summary import summary_message
from web.surfaces.responses.input.items import Item
from web.surfaces.responses.input.tools import (
    BRINGING_TOOLS,
    SEARCH,
    ToolName,
    flat_name,
    names_of,
)

CALLS = frozenset({"function_call", "custom_tool_call"})
"""Types of items that are calls of the client's tools."""
OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})
WITH_PARTS = OUTPUTS | {"message"}
"""Types of items whose content or output has content parts; that of others has any form."""


class MessageGroup(Struct, frozen=True):
    """Messages that are valid only together, or one item that is not a message in Chat."""

    messages: tuple[Message, ...]
    places: tuple[int, ...] = ()
    """Indexes of its items."""
    native: Item | None = None

    @property
    def role(self) -> str:
        """The role of the first message; empty for an item that is not one."""
        return self.messages[0].role if self.messages else ""


class _Answer(Struct):
    """An assistant's message to which items are still added, and the results of its calls."""

    contents: list[Content] = []
    reasoning: list[Reasoning] = []
    calls: list[AnyToolCall] = []
    results: list[ToolMessage] = []
    places: list[int] = []
    size: int = 0
    """Number of the message's parts and calls."""

    def group(self) -> MessageGroup:
        """Return its group; it must not grow after that."""
        plain = "\n\n".join([one.text for one in self.reasoning if one.api is None])
        signed = tuple(one for one in self.reasoning if one.api is not None)
        message = messages.AssistantMessage(
            content=_joined(self.contents),
            reasoning=((Reasoning(plain),) if plain else ()) + signed,
            tool_calls=tuple(self.calls),
        )
        return MessageGroup((message, *self.results), tuple(self.places))

    def add_content(self, content: Content) -> None:
        """Add the content of a message."""
        self.contents.append(content)
        self.size += len(tuple(parts_of(content)))

    def add_call(self, call: AnyToolCall) -> None:
        """Add a call."""
        self.calls.append(call)
        self.size += 1

    def add_reasoning(self, place: int, reasoning: Reasoning) -> None:
        """Add the reasoning of the item at `place` behind the content and the calls so far."""
        self.reasoning.append(replace(reasoning, after=self.size))
        self.places.append(place)


class Mismatch(Exception):
    """Error for calls and results that don't match; `place` is the index of the item at fault."""

    def __init__(self, place: int, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


class MessageGroups:
    """A builder that converts items to message groups, in their order.

    `names` are the names that the client's tools have in Chat.
    """

    def __init__(self, names: Mapping[ToolName, str] = MappingProxyType({})) -> None:
        self._names = names
        self._groups: list[MessageGroup | _Answer] = []
        self.dropped_reasoning = 0
        """Number of dropped reasoning items, which have no text or precede no message."""
        self.native: list[int] = []
        """Indexes of items that messages in Chat don't express."""
        self.orphans: list[int] = []
        """Indexes of results that were dropped because their calls are missing."""
        self._open: _Answer | None = None
        """The last message, while further items may extend it."""
        self._waiting: list[tuple[int, Reasoning]] = []
        """Reasoning that waits for the message it led to, with the index of its item."""
        self._calls: dict[str, tuple[_Answer, int, str]] = {}
        """Calls without a result, by call id, with the index and the type of the item."""
        self._answered: set[str] = set()
        self._searches: dict[str, tuple[int, Item]] = {}
        """Searches of tools without an output, by call id, with the index of the item."""
        self.media: set[str] = set()
        """Kinds of media in the messages."""
        self._place = 0

    def add(self, items: Iterable[Item], *, forgiving: bool = False) -> None:
        """Add items; raises `Mismatch`.

        With `forgiving`, results whose calls are missing are dropped.
        """
        for item in items:
            if forgiving and self._is_orphan(item):
                self.orphans.append(self._place)
            else:
                self._add(item)
            self._place += 1

    def finish(self) -> list[MessageGroup]:
        """Return all groups; raises `Mismatch` if a call has no result."""
        self._drop_reasoning()
        for place, item in self._searches.values():
            self._native(place, item)
        for call_id, (_, place, type) in self._calls.items():
            words = f"there is no output for the {type.replace('_', ' ')} {call_id!r:.200}."
            raise Mismatch(place, f"{words} Send its {type}_output.")
        return [one.group() if isinstance(one, _Answer) else one for one in self._groups]

    def _is_orphan(self, item: Item) -> bool:
        return item["type"] in OUTPUTS and item["call_id"] not in self._calls

    def _add(self, item: Item) -> None:
        match item["type"]:
            case "message" if item["role"] == "assistant":
                self._assistant_content(content_of(item["content"]) or "")
            case "message":
                content = content_of(item["content"])
                self.media |= kinds_in(content)
                self._other(_message(item["role"], content))
            case "function_call" | "custom_tool_call":
                self._call(item)
            case "function_call_output" | "custom_tool_call_output":
                self._result(item)
            case "reasoning":
                self._reasoning(item)
            case "compaction" if summary := summary_message(item["encrypted_content"]):
                self._other(summary)
            case "item_reference":
                pass  # it is in the history
            case "tool_search_call" if (None, SEARCH) in self._names and _call_id(item):
                self._searches[_call_id(item)] = self._place, item
            case "tool_search_output" if _call_id(item) in self._searches:
                self._search(*self._searches.pop(_call_id(item)), item)
            case _:
                self._native(self._place, item)

    def _native(self, place: int, item: Item) -> None:
        self._groups.append(MessageGroup((), (place,), item))
        if item["type"] not in BRINGING_TOOLS:
            self.native.append(place)

    def _other(self, message: Message) -> None:
        self._drop_reasoning()
        self._open = None
        self._groups.append(MessageGroup((message,), (self._place,)))

    def _answer(self) -> _Answer:
        """Return the open assistant's message, or a new one, with the reasoning before it."""
        if self._open is None:
            self._open = _Answer()
            self._groups.append(self._open)
        for place, reasoning in self._waiting:
            self._open.add_reasoning(place, reasoning)
        self._waiting.clear()
        self._open.places.append(self._place)
        return self._open

    def _assistant_content(self, content: Content) -> None:
        if self._open is not None and len(self._open.calls) == len(self._open.results):
            self._open = None
        self._answer().add_content(content)

    def _call(self, item: Item) -> None:
        call_id = str(item["call_id"])
        if call_id in self._calls:
            raise Mismatch(self._place, f"there are two function calls with id {call_id!r:.200}.")
        answer = self._answer()
        answer.add_call(self._tool_call(call_id, item))
        self._calls[call_id] = answer, self._place, str(item["type"])
        self._answered.discard(call_id)

    def _tool_call(self, call_id: str, item: Item) -> AnyToolCall:
        namespace, tool = item.get("namespace"), str(item["name"])
        within = namespace if isinstance(namespace, str) else None
        name = self._names.get((within, tool)) or flat_name(within, tool)
        if item["type"] == "function_call":
            return ToolCall(call_id, name, str(item["arguments"]))
        return CustomToolCall(call_id, name, str(item["input"]))

    def _result(self, item: Item) -> None:
        call_id = str(item["call_id"])
        answer, *_ = self._calls.pop(call_id, (None, 0, ""))
        if answer is None:
            why = "already has an output" if call_id in self._answered else "is missing"
            text = f"the function call {call_id!r:.200} of this output {why}."
            raise Mismatch(self._place, text)
        content = content_of(item["output"])
        self.media |= kinds_in(content)
        answer.results.append(ToolMessage(content=content, tool_call_id=call_id))
        answer.places.append(self._place)
        self._answered.add(call_id)
        self._drop_reasoning()
        self._open = None

    def _search(self, place: int, call: Item, output: Item) -> None:
        """Add a search of tools and its result, the names of those that it found."""
        call_id = _call_id(call)
        arguments = json.encode(call.get("arguments") or {}).decode()
        as_call: Item = {"type": "function_call", "call_id": call_id, "name": SEARCH}
        self._call(as_call | {"arguments": arguments})
        self._calls[call_id][0].places.append(place)
        found = [self._names[name] for name in names_of(output["tools"]) if name in self._names]
        text = "\n".join(["Found tools:", *found] if found else ["Found no tools."])
        self._result({"call_id": call_id, "output": text})

    def _reasoning(self, item: Item) -> None:
        texts = _texts(item.get("content")) or _texts(item.get("summary"))
        text, opaque = "\n\n".join(texts), item.get("encrypted_content")
        if isinstance(opaque, str) and opaque:
            api, state = unsealed(opaque) or (API, {"encrypted_content": opaque})
            self._waiting.append((self._place, Reasoning(text, api, state)))
        elif text:
            self._waiting.append((self._place, Reasoning(text)))
        else:
            self.dropped_reasoning += 1

    def _drop_reasoning(self) -> None:
        """Drop reasoning that no message follows, but keep the signatures of the text before."""
        for place, reasoning in self._waiting:
            if reasoning.api == API:
                self.native.append(place)
            elif reasoning.api is not None and self._open is not None:
                self._open.add_reasoning(place, reasoning)
            else:
                self.dropped_reasoning += 1
        self._waiting.clear()


def _call_id(item: Item) -> str:
    call_id = item.get("call_id")
    return call_id if isinstance(call_id, str) else ""


def _message(role: JSON, content: Content) -> Message:
    if role == "system" or role == "developer":
        return messages.SystemMessage(content, role)
    return messages.UserMessage(content)


def _joined(contents: Sequence[Content]) -> Content:
    if len(contents) < 2:
        return contents[0] if contents else None
    return tuple(part for content in contents if content for part in parts_of(content))


def _texts(parts: JSON) -> list[str]:
    if not isinstance(parts, list):
        return []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return [text for text in texts if isinstance(text, str) and text]
