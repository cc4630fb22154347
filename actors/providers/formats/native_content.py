"""Adapts the content of a call to an API: leaves out what only other APIs have. Pure.

A provider refuses reasoning that it did not sign itself, and parts, files and tools that its API
doesn't have. What can be said as text becomes text.
"""

import operator
import re
from collections.abc import Set

from msgspec import Struct
from msgspec.structs import replace

from actors.providers.formats.media import kind_of, text_of
from actors.turn import messages as chat
from actors.turn.chat_messages import CHAT_API, SIGNED, THINKING_API
from actors.turn.messages import JSON, Extras
from actors.turn.model_call import ModelCall

_UNKNOWN = chat.OtherPart({})
_ANTHROPIC_TOOL = re.compile(
    r"[a-z0-9_]{1,100}_20\d{6}|mcp_toolset|tool_search_tool_(?:bm25|regex)"
)
"""Types of tools of Anthropic's API, most of which end in a date, as `web_search_20250305` does."""
_PLAIN = (chat.TextPart, chat.RefusalPart)


def for_api(call: ModelCall, api: str, media: Set[str]) -> tuple[ModelCall, list[str]]:
    """Return the call for providers of the format `api`, and the paths of what was left out.

    `media` are the kinds of media that the API has. Messages that the client sent in the form of
    this API stay as they are, and the call keeps only such a form.
    """
    native = call.native_for(api)
    unexpressed = call.native.unexpressed if call.native is not None and native is None else ()
    adapter = _Adapter(api, media, [*unexpressed])
    call = replace(call, parameters=adapter.parameters(call.parameters))
    expressed = len(native.messages) if native is not None else 0
    messages = tuple(
        adapter.message(message, index)
        if index >= expressed and adapter.has_foreign(message)
        else message
        for index, message in enumerate(call.messages)
    )
    return replace(call, messages=messages, native=native), adapter.left_out


def is_anthropic_tool(tool: JSON) -> bool:
    """Return whether this is one of the tools that Anthropic's models know or its servers run."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    return isinstance(kind, str) and _ANTHROPIC_TOOL.fullmatch(kind) is not None


class _Adapter(Struct, frozen=True):
    api: str
    media: Set[str]
    left_out: list[str]

    def has_foreign(self, message: chat.Message) -> bool:
        """Return whether a message may have something to leave out."""
        if isinstance(message, chat.AssistantMessage) and message.reasoning:
            return True
        content = message.content
        return type(content) is tuple and not all(isinstance(part, _PLAIN) for part in content)

    def parameters(self, parameters: Extras) -> Extras:
        """Return the parameters without the tools of other APIs."""
        tools = parameters.get("tools")
        if self.api == THINKING_API or not isinstance(tools, list):
            return parameters
        kept = [tool for tool in tools if not is_anthropic_tool(tool)]
        if len(kept) == len(tools):
            return parameters
        for index, tool in enumerate(tools):
            if is_anthropic_tool(tool):
                self.left_out.append(f"tools[{index}] ({tool['type']})")
        return {**parameters, "tools": kept}

    def message(self, message: chat.Message, index: int) -> chat.Message:
        """Return the message at an index with what the API has."""
        path = f"messages[{index}]"
        if isinstance(message.content, tuple):
            message = replace(message, content=self._content(message.content, path))
        if isinstance(message, chat.AssistantMessage):
            own = tuple(one for one in message.reasoning if one.api in (None, self.api))
            if len(own) < len(message.reasoning):
                self.left_out.append(f"{path}.{SIGNED}")
            message = replace(message, reasoning=own)
        return message

    def _content(self, parts: tuple[chat.Part, ...], path: str) -> chat.Content:
        own = [self._own(part) for part in parts]
        if all(map(operator.is_, own, parts)):
            return parts
        if self.api != CHAT_API:
            # Chat has parts of any type, but the other formats report those that they don't know.
            return tuple(part or _UNKNOWN for part in own)
        left_out = (index for index, part in enumerate(own) if part is None)
        self.left_out.extend(f"{path}.content[{index}]" for index in left_out)
        match kept := [part for part in own if part is not None]:
            case []:
                return ""
            case [chat.TextPart(text, extras)] if not extras:
                return text
        return tuple(kept)

    def _own(self, part: chat.Part) -> chat.Part | None:
        """Return the part, or its text if that is all of it that the API has, or None."""
        kind = kind_of(part)
        if isinstance(part, chat.NativePart) and part.api != self.api:
            return chat.TextPart(part.text) if part.text else None
        if isinstance(part, chat.FilePart) and kind is None and "text" not in self.media:
            text = text_of(part)
            return None if text is None else chat.TextPart(text)
        return part if kind is None or kind in self.media else None
