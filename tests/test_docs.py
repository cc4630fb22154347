"""Tests that the reference documents every setting, format, route, option and metric."""

import ast
import re
import tomllib
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import typer.main
from prometheus_client import CollectorRegistry
from trio.testing import MockClock

from actors.routing.breaker import BreakerSettings
from actors.routing.route_board import RouteBoard
from store.store import StoreFigures
from tests.support.edge_harness import open_harness
from web.app import create_app
from web.cli import app
from web.config import format_names, formats
from web.config.reference import ANY_NAME, Setting, settings
from web.observability.metrics import Metrics
from web.server import Counters

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
IDLE = StoreFigures(queued=0, spooled_records=0, spooled_bytes=0)


def heading_and_key(place: tuple[str, ...]) -> tuple[str, str]:
    """Return the heading of a setting's table and its key."""
    parts = [part for part in place if part not in {"upstream", "simulated"}]
    if parts[0] not in {"providers", "models"}:
        return f"[{parts[0]}]", ".".join(parts[1:])
    keys = ".".join(parts[2:]).replace(f".{ANY_NAME}", "[]")
    return f"[{parts[0]}.NAME]", keys


def documented_settings(text: str) -> set[tuple[str, str]]:
    """Return each row of the tables under headings such as ``## `[server]` ``."""
    found = set()
    heading = ""
    for line in text.splitlines():
        if line.startswith("## "):
            heading = line.strip("# `")
        elif heading.startswith("[") and (match := re.match(r"\| `([\w.\[\]]+)`", line)):
            found.add((heading, match[1]))
    return found


def written(default: object) -> str:
    """Format a default value as TOML."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, Decimal):
        return str(default)
    if type(default) is tuple:  # and not an `Address`, which is written as text
        return f"[{', '.join(map(written, default))}]"
    return f"{default:_}" if isinstance(default, int | float) else f'"{default}"'


def row_of(setting: Setting, text: str) -> str:
    """Return the row with a setting's default, or that of the format that determines it."""
    heading, key = heading_and_key(setting.path)
    title = f"`{heading}`"
    section = text.split(f"## {title}\n")[1].split("\n## ")[0]
    return next(row for row in section.splitlines() if row.startswith(f"| `{key}`"))


def metric_names(registry: CollectorRegistry) -> set[str]:
    """Return all metric names without the suffixes of the sample kinds."""
    return {family.name for family in registry.collect()}


def test_reference_has_exactly_the_existing_settings() -> None:
    existing = {heading_and_key(s.path) for s in settings() if not s.is_table}
    written = documented_settings((REFERENCE / "configuration.md").read_text("utf-8"))
    assert written == existing


def test_reference_has_the_actual_defaults() -> None:
    text = (REFERENCE / "configuration.md").read_text("utf-8")
    for setting in settings():
        default = setting.field.get_default(call_default_factory=True)
        if setting.is_table or default is None:
            continue
        shown = "required" if setting.field.is_required() else f"`{written(default)}`"
        if setting.path[-1] == "base_url":
            continue  # its default depends on the format
        row = row_of(setting, text)
        assert f"| {shown} |" in row, (setting.path, shown)


def test_reference_has_every_format() -> None:
    text = (REFERENCE / "configuration.md").read_text("utf-8")
    section = text.split("## Formats\n")[1].split("\n## ")[0]
    assert tuple(re.findall(r"^\| `([\w-]+)`", section, re.MULTILINE)) == format_names()


def test_reference_has_the_default_url_of_every_format() -> None:
    text = (REFERENCE / "configuration.md").read_text("utf-8")
    section = text.split("## Formats\n")[1].split("\n## ")[0]
    for name, format in formats().items():
        row = next(row for row in section.splitlines() if row.startswith(f"| `{name}`"))
        default = "required" if format.base_url is None else f'`"{format.base_url}"`'
        assert f"| {default} |" in row


def route_name(rule: str) -> str:
    """Convert a rule to the notation of the docs: `/v1/turns/<turn_id>` to `/v1/turns/{id}`."""
    return re.sub(r"<(?:path:)?(?:turn_|response_)?([a-z_]+)>", r"{\1}", rule)


async def test_reference_has_every_route(autojump_clock: MockClock) -> None:
    text = (REFERENCE / "http.md").read_text("utf-8")
    async with open_harness() as harness:
        rules = list(create_app(harness.service).url_map.iter_rules())
    existing = {
        f"{method} {route_name(rule.rule)}"
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert set(re.findall(r"`([A-Z]+ /[^`]*)`", text)) == existing


def test_reference_has_every_command_and_option() -> None:
    text = (REFERENCE / "cli.md").read_text("utf-8")
    group = typer.main.get_command(app)
    commands = getattr(group, "commands")  # noqa: B009 (typer's type hides that it is a group)
    assert set(re.findall(r"^## `trouper (\w+)", text, re.MULTILINE)) == set(commands)
    for name, command in {"": group, **commands}.items():
        title = f"\n## `trouper {name}`" if name else "\n## Common"
        section = text.split(title)[1].split("\n## ")[0]
        existing = {option for p in command.params for option in p.opts}
        assert set(re.findall(r"^\| `(--[\w-]+)", section, re.MULTILINE)) == existing, name
        below = getattr(command, "commands", {}) if name else {}
        assert set(re.findall(rf"^### `trouper {name} (\w+)", section, re.MULTILINE)) == set(below)


def test_reference_has_every_metric() -> None:
    text = (REFERENCE / "metrics.md").read_text("utf-8")
    written = set(re.findall(r"^\| `(trouper_\w+)`", text, re.MULTILINE))
    metrics = Metrics()
    metrics.watch([], lambda: IDLE)
    metrics.watch_routes(RouteBoard(BreakerSettings(), {}, {}, lambda: 0.0), ())
    metrics.watch_server(Counters())
    assert {name.removesuffix("_total") for name in written} == metric_names(metrics.registry)


def log_events(tree: ast.AST) -> Iterator[str]:
    """Yield the event of each log call, and of each `Note`, which the supervisor logs."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and re.search(r"\b_log\b|^Note$", ast.unparse(node.func)):
            texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield from (str(text).replace("%s", "PATH") for text in texts[:1])


def test_reference_lists_every_log_event() -> None:
    root = REFERENCE.parent.parent
    sources = [p for folder in ("actors", "store", "web") for p in (root / folder).rglob("*.py")]
    existing = {e for p in sources for e in log_events(ast.parse(p.read_text("utf-8")))}
    text = (REFERENCE / "logs.md").read_text("utf-8")
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    listed = {event for row in rows for event in re.findall(r"`([^`]+)`", row)}
    assert existing - listed == {"turn ended", "request ended"}
    assert listed - existing == {"turn", "request", "process"}


def test_every_dependency_is_explained() -> None:
    root = REFERENCE.parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    groups = project["dependency-groups"]
    wanted = [*project["project"]["dependencies"], *groups["dev"], *groups["build"]]
    text = (root / "docs" / "explanation" / "dependencies.md").read_text("utf-8")
    words = set(re.findall(r"[\w-]+", text))
    names = {re.split(r"[<>=!~ \[;]", line)[0] for line in wanted}
    assert names - words == set()
