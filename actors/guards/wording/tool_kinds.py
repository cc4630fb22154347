"""Kinds of work that tools do, told from their names. Pure."""

from collections.abc import Collection
from enum import StrEnum

from actors.guards.patterns import compile


class ToolKind(StrEnum):
    """A kind of work that an answer can claim or deny."""

    DELEGATION = "delegation"
    WEB = "web"
    FILES = "files"
    CODE = "code"
    MESSAGES = "messages"
    CALENDAR = "calendar"
    DATABASE = "database"
    PAYMENTS = "payments"


_NAMES = {
    ToolKind.DELEGATION: r"deleg|agent|hand_?off|spawn|dispatch|assign|^task$|_task$|specialist",
    ToolKind.WEB: r"search|brows|web|internet|fetch|http|url|crawl|scrape|news|weather|stock|quote",
    ToolKind.FILES: r"file|folder|director|read|write|edit|patch|save|glob|grep|^ls$|document|drive"
    r"|upload|obsidian|note|repo|git",
    ToolKind.CODE: r"exec|run|shell|bash|terminal|command|python|code|script|interpret|notebook"
    r"|test|build|deploy|calc|sandbox",
    ToolKind.MESSAGES: r"mail|send|message|sms|slack|notif|post|telegram|discord|whatsapp|chat",
    ToolKind.CALENDAR: r"calendar|schedul|cron|remind|event|alarm|timer|book|appoint|meeting",
    ToolKind.DATABASE: r"sql|quer|database|db|record|crm|table",
    ToolKind.PAYMENTS: r"pay|transfer|wallet|purchas|order|refund|invoice|trade|swap|balance|bank"
    r"|checkout|transaction",
}
_PATTERNS = {kind: compile(names, ignore_case=True) for kind, names in _NAMES.items()}


def could(names: Collection[str], kind: ToolKind) -> bool:
    """Return True if a tool of these names does this kind of work, as far as its name tells."""
    return any(_PATTERNS[kind].search(name) is not None for name in names)


def may(names: Collection[str], kind: ToolKind) -> bool:
    """Return True if a tool of these names does this kind of work, or its name tells none."""
    return any(kinds == set() or kind in kinds for kinds in map(_kinds, names))


def _kinds(name: str) -> set[ToolKind]:
    return {kind for kind, pattern in _PATTERNS.items() if pattern.search(name) is not None}
