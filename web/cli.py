"""The command line. Commands import what they run only when they run it.

Exit codes: 0, all is well; 1, refused (`trouper: …` on standard error says why); 2, a wrong
option or argument.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from web.startup import StartupRefused
from web.version import VERSION

if TYPE_CHECKING:
    from web.config import Config

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A self-hosted LLM streaming server that carries on whatever happens in the middle.",
)

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file; default: the one that TROUPER_CONFIG names."
    ),
]
Bind = Annotated[
    str | None,
    typer.Option("--bind", metavar="HOST:PORT", help="Listen here instead of server.bind."),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Keep turns here instead of in store.url."),
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Options of `trouper` itself."""
    if version:
        typer.echo(f"trouper {VERSION}")
        raise typer.Exit


@app.command()
def serve(config: ConfigFile = None, bind: Bind = None, store: StoreUrl = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain; a second signal skips the waiting."""
    settings = _load(config, bind, store)
    from web.logs import logging_to
    from web.main import run

    with _refusals(), logging_to(sys.stderr, settings.logs.level, cached=True):
        raise typer.Exit(run(settings))


@app.command()
def check(config: ConfigFile = None, bind: Bind = None, store: StoreUrl = None) -> None:
    """Validate the configuration and print what it comes to, without secrets."""
    settings = _load(config, bind, store)
    from web.config import as_toml

    for note in settings.notes():
        typer.echo(f"trouper: note: {note}", err=True)
    typer.echo(as_toml(settings), nl=False)


def _load(path: Path | None, bind: str | None, store: str | None) -> "Config":
    from web.config import ConfigError, load

    flags: dict[str, dict[str, object]] = {}
    if bind is not None:
        flags["server"] = {"bind": bind}
    if store is not None:
        flags["store"] = {"url": store}
    try:
        return load(path, flags)
    except ConfigError as error:
        _refuse(*error.lines)


@contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except StartupRefused as refusal:
        _refuse(str(refusal))


def _refuse(*lines: str) -> NoReturn:
    for line in lines:
        typer.echo(f"trouper: {line}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """The console script `trouper`."""
    app(prog_name="trouper")


if __name__ == "__main__":
    main()
