"""Validates the tools of a Responses request and converts them to the form of Chat Completions.

Routes that speak Responses get tools of every type as they were sent. For other routes, functions
and custom tools are taken out of namespaces and of items that bring tools, and a search of tools
that the client runs is a function. Tools of other types, which only a provider of this API can run
or understand, are left out. Source: OpenAI's API reference, "Create a response" (`tools`,
`tool_choice`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec
from msgspec import Struct

from actors.providers.formats.openai_responses.frames import API
from actors.turn.chunks import CallKind
from actors.turn.model_call import JSON, ClientTool
from web.surfaces.validation import LONGEST_NAME, Fields, Object, check_function, wrong

MAX_TOOLS = 1_000
BRINGING_TOOLS = frozenset({"additional_tools", "tool_search_output"})
"""Types of items that bring tools."""
SEARCH = "tool_search"
"""Type of a search of deferred tools, and the name of the function that stands in for it."""
_SEARCH_CALL = {"type": "tool_search_call", "execution": "client", "status": "completed"}
_CHOICES = ("none", "auto", "required")
_MODES = ("auto", "required")
_KINDS: dict[JSON, CallKind] = {"function": "function", "custom": "custom"}
_NOT_IN_CHAT = ("allowed_callers", "async", "output_schema")
_DROPPED = ("type", "defer_loading", "execution", *_NOT_IN_CHAT)
"""Fields that Chat's tools don't have. A tool whose loading is deferred is simply loaded."""

ToolName = tuple[str | None, str]
"""Namespace, if any, and name of a tool."""


class Tools(Struct, frozen=True):
    """The tools and the tool choice of a request, as they were sent."""

    given: tuple[Object, ...] = ()
    choice: JSON = None

    @property
    def shown(self) -> list[Object]:
        """The `tools` of the response object."""
        return [_shown(tool) if tool["type"] == "function" else tool for tool in self.given]


class ChatTools(Struct, frozen=True):
    """The tools of a request and its history, in the form of Chat Completions."""

    parameters: Object
    """`tools` and `tool_choice`."""
    names: dict[ToolName, str]
    """The name that each tool has there."""
    client_tools: dict[str, ClientTool]
    unexpressed: tuple[str, ...]
    forced: bool
    """True if the tool choice demands a tool that is not among them."""


def read_tools(tools: Sequence[JSON] | None, choice: JSON, *, others: bool = False) -> Tools:
    """Validate the tools and the tool choice; raises `ApiError` (400).

    With `others`, the request's items or its history may bring further tools.
    """
    given = tools or ()
    if len(given) > MAX_TOOLS:
        raise wrong("tools", f"may have at most {MAX_TOOLS} tools.")
    for index, tool in enumerate(given):
        check_tool(Fields(tool, f"tools[{index}]"))
    valid = tuple(tool for tool in given if isinstance(tool, dict))
    if not valid and not others and choice not in (None, "auto", "none"):
        raise wrong("tool_choice", "must be auto or none, since the request has no tools.")
    names = {one.name[1] for one in _tools_of(valid, "tools") if one.kind is not None}
    _check_choice(choice, None if others else names)
    return Tools(valid, choice)


def check_tool(tool: Fields) -> None:
    """Check a tool of any type; raises `ApiError` (400)."""
    match tool.text("type", longest=LONGEST_NAME):
        case "function":
            check_function(tool)
            tool.optional("strict", bool, "a boolean")
        case "custom":
            tool.text("name", longest=LONGEST_NAME)
            tool.optional("description", str, "a string")
        case "namespace":
            tool.text("name", longest=LONGEST_NAME)
            tool.optional("description", str, "a string")
            for inner in tool.objects("tools"):
                # The API has no namespaces in namespaces. They are left out by other routes.
                if inner.text("type", longest=LONGEST_NAME) != "namespace":
                    check_tool(inner)


def chat_tools(tools: Tools, items: Iterable[tuple[str, Object]]) -> ChatTools:
    """Convert the tools of a request and those that `items`, with their paths, bring."""
    found = [*_all_tools(tools, items)]
    named = {one.name: one for one in found if one.kind is not None}
    names = _names(named)
    left_out = [f"{one.path} ({_type_of(one.tool)})" for one in found if one.kind is None]
    client_tools: dict[str, ClientTool] = {}
    converted: list[JSON] = []
    for name, one in named.items():
        kind, sent = one.kind or "function", names[name]
        left_out += [f"{one.path}.{field}" for field in _NOT_IN_CHAT if one.tool.get(field)]
        converted.append({"type": kind, kind: _chat_fields(kind, sent, one.tool)})
        if one.is_search:
            extras = msgspec.json.encode(_SEARCH_CALL).decode()
            client_tools[sent] = ClientTool(name[1], extras=extras, item_api=API)
        elif one.namespace is not None or kind == "custom":
            client_tools[sent] = ClientTool(name[1], kind, _extras(one.namespace))
    parameters: Object = {"tools": converted} if converted else {}
    choice = _chat_choice(tools.choice, names, left_out)
    if converted and choice is not None:
        parameters["tool_choice"] = choice
    forced = _is_forcing(tools.choice) and "tool_choice" not in parameters
    return ChatTools(parameters, names, client_tools, tuple(left_out), forced)


def flat_name(namespace: str | None, name: str) -> str:
    """Return the name of a namespace's tool outside of it, as Codex joins the two."""
    return f"{namespace.rstrip('_')}__{name.lstrip('_')}" if namespace else name


def names_of(tools: JSON) -> list[ToolName]:
    """Return the names of the tools in a list that the client can run."""
    given = tools if isinstance(tools, list) else []
    return [one.name for one in _tools_of(given, "tools") if one.kind is not None]


class _Tool(Struct, frozen=True):
    """A tool of any type but `namespace`, with its path and its namespace, if any."""

    path: str
    namespace: str | None
    tool: Object

    @property
    def kind(self) -> CallKind | None:
        """Kind of its calls; None if the client cannot run it."""
        return "function" if self.is_search else _KINDS.get(self.tool.get("type"))

    @property
    def is_search(self) -> bool:
        """True if it searches deferred tools at the client."""
        return self.tool.get("type") == SEARCH and self.tool.get("execution") == "client"

    @property
    def name(self) -> ToolName:
        """Its name, if it has a kind."""
        return self.namespace, SEARCH if self.is_search else str(self.tool.get("name"))


def _tools_of(tools: Iterable[JSON], path: str) -> Iterator[_Tool]:
    for index, tool in enumerate(tools):
        at = f"{path}[{index}]"
        match tool:
            case {"type": "namespace", "name": str(name), "tools": list(inner), **rest}:
                described = _described(inner, rest.get("description"))
                for place, one in enumerate(described):
                    yield _Tool(f"{at}.tools[{place}]", name, one)
            case dict():
                yield _Tool(at, None, tool)


def _all_tools(tools: Tools, items: Iterable[tuple[str, Object]]) -> Iterator[_Tool]:
    yield from _tools_of(tools.given, "tools")
    for path, item in items:
        if item["type"] in BRINGING_TOOLS and isinstance(brought := item.get("tools"), list):
            yield from _tools_of(brought, f"{path}.tools")


def _described(tools: Sequence[JSON], description: JSON) -> list[Object]:
    """Return a namespace's tools, the first with the description of the namespace, too."""
    first, *others = [tool for tool in tools if isinstance(tool, dict)] or [{}]
    texts = [text for text in (description, first.get("description")) if isinstance(text, str)]
    joined = {"description": "\n\n".join(texts)} if texts else {}
    return [{**first, **joined}, *others] if first else []


def _extras(namespace: str | None) -> str | None:
    return namespace and msgspec.json.encode({"namespace": namespace}).decode()


def _names(tools: Iterable[ToolName]) -> dict[ToolName, str]:
    """Return a name for each tool that no other one has."""
    names: dict[ToolName, str] = {tool: tool[1] for tool in tools if tool[0] is None}
    taken = set(names.values())
    for tool in tools:
        if tool not in names:
            flat, number = flat_name(*tool), 1
            while (name := flat if number == 1 else f"{flat}_{number}") in taken:
                number += 1
            names[tool] = name
            taken.add(name)
    return names


def _chat_fields(kind: CallKind, name: str, tool: Object) -> Object:
    fields = {key: value for key, value in tool.items() if value is not None}
    fields = {key: value for key, value in fields.items() if key not in _DROPPED}
    match fields.get("format"):
        case {"type": "grammar", **grammar} if kind == "custom":
            fields["format"] = {"type": "grammar", "grammar": grammar}
    return fields | {"name": name}


def _shown(function: Object) -> Object:
    # OpenAI's default is `strict: true`, but providers of other formats don't support it.
    defaults = {"description": None, "parameters": None, "strict": False}
    given = {key: value for key, value in function.items() if value is not None}
    return defaults | given


def _check_choice(given: JSON, names: set[str] | None) -> None:
    """Check `tool_choice`; raises `ApiError` (400). `names` are those that it may have."""
    if given is None or given in _CHOICES:
        return
    if not isinstance(given, dict):
        text = f"must be one of {', '.join(_CHOICES)}, or an object with a type."
        raise wrong("tool_choice", text)
    choice = Fields(given, "tool_choice")
    if choice.text("type") != "allowed_tools":
        _check_chosen(choice, names)
        return
    if choice.one_of("mode", _MODES) is None:
        raise choice.wrong("mode", f"must be one of {', '.join(_MODES)}.")
    allowed = choice.values.get("tools")
    if not isinstance(allowed, list) or len(allowed) > MAX_TOOLS:
        raise choice.wrong("tools", f"must be a list of at most {MAX_TOOLS} tools.")
    for tool in choice.objects("tools"):
        _check_chosen(tool, names)


def _check_chosen(tool: Fields, names: set[str] | None) -> None:
    if tool.text("type") in _KINDS:
        name = tool.text("name", longest=LONGEST_NAME)
        if names is not None and name not in names:
            raise tool.wrong("name", f"{name!r:.100} is not the name of a tool in tools.")


def _chat_choice(given: JSON, names: dict[ToolName, str], left_out: list[str]) -> JSON:
    """Return `tool_choice` in the form of Chat Completions, or None if it has no such form.

    Adds the paths of tools that only a provider can run to `left_out`.
    """
    # A choice need not have the namespace of its tool.
    known = {(None, name): sent for (_, name), sent in names.items()} | names
    match given:
        case {"type": "allowed_tools", "mode": mode, "tools": list(tools)}:
            found = [
                _chosen(tool, f"tool_choice.tools[{index}]", known, left_out)
                for index, tool in enumerate(tools)
            ]
            allowed = [tool for tool in found if tool is not None]
            if not allowed:
                return None if mode == "required" else "none"
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": allowed}}
        case dict():
            return _chosen(given, "tool_choice", known, left_out)
        case _:
            return given


def _chosen(
    tool: JSON, path: str, known: Mapping[ToolName, str], left_out: list[str]
) -> Object | None:
    match tool:
        case {"type": "function" | "custom" as kind, "name": str(name), **rest}:
            namespace = rest.get("namespace")
            sent = known.get((namespace if isinstance(namespace, str) else None, name))
            if sent is not None:
                return {"type": kind, kind: {"name": sent}}
    left_out.append(f"{path} ({_type_of(tool)})")
    return None


def _is_forcing(choice: JSON) -> bool:
    match choice:
        case {"type": "allowed_tools", "mode": mode}:
            return bool(mode == "required")
        case dict():
            return True
        case _:
            return choice == "required"


def _type_of(tool: JSON) -> str:
    return f"{tool.get('type')!s:.100}" if isinstance(tool, dict) else f"{tool!s:.100}"
