"""Command line of Trouper: `serve`, `check`, `simulate` and, in `web.guards_cli`, `guards`.

Commands import their modules when they run, which keeps `--help` and `--version` fast. Exit codes:
0, success; 1, refused (`trouper: …` on standard error says why); 2, invalid option or argument.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import typer

from web.guards_cli import guards
from web.process.startup import StartupRefused
from web.version import VERSION

if TYPE_CHECKING:
    from actors.providers.simulated import Scenario
    from web.config import Address, Config

E = TypeVar("E", bound=Exception)

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="A self-hosted LLM streaming server that survives failures in the middle of an answer.",
)

app.add_typer(guards, name="guards")

ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file. Default: the one that TROUPER_CONFIG names."
    ),
]
Bind = Annotated[
    str | None,
    typer.Option(
        "--bind", metavar="HOST:PORT", help="Address to listen on instead of server.bind."
    ),
]
StoreUrl = Annotated[
    str | None,
    typer.Option("--store", metavar="URL", help="Database for turns instead of store.url."),
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """Handle the options of `trouper` itself."""
    if version:
        typer.echo(f"trouper {VERSION}")
        raise typer.Exit


@app.command()
def serve(
    config: ConfigFile = None,
    bind: Bind = None,
    store: StoreUrl = None,
    supervise: Annotated[
        int | None,
        typer.Option(
            "--supervise",
            metavar="N",
            min=1,
            help="Serve with N processes. SIGHUP replaces them without losing a request.",
        ),
    ] = None,
) -> None:
    """Serve until SIGTERM or Ctrl-C, then drain. A second signal skips the waiting."""
    settings = _load(config, bind, store)
    import structlog

    from web.observability.logs import logging_to

    with _refusals(StartupRefused, str), logging_to(sys.stderr, settings.logs.level, cached=True):
        for note in settings.notes():
            structlog.get_logger("trouper.config").warning(note)
        raise typer.Exit(_serve(settings, supervise))


def _serve(settings: "Config", processes: int | None) -> int:
    """Run the server, or with `processes` a supervisor of that many servers."""
    from web.process.listeners import is_supervised

    if processes is not None and not is_supervised(os.environ):
        from web.supervisor.parent import supervise

        return supervise(settings, processes)
    from web.main import run

    return run(settings)


@app.command()
def check(config: ConfigFile = None, bind: Bind = None, store: StoreUrl = None) -> None:
    """Validate the configuration and print the effective one, without secrets."""
    settings = _load(config, bind, store)
    from web.config import as_toml

    for note in settings.notes():
        typer.echo(f"trouper: note: {note}", err=True)
    typer.echo(as_toml(settings), nl=False)


@app.command()
def simulate(
    bind: Annotated[
        str,
        typer.Option(
            "--bind",
            metavar="HOST:PORT",
            help="Address to listen on. Port 0 lets the system choose.",
        ),
    ] = "127.0.0.1:8701",
    scenario: Annotated[
        Path | None,
        typer.Option(
            "--scenario",
            metavar="FILE",
            help="TOML file that defines the behaviour of model names.",
        ),
    ] = None,
    witness: Annotated[
        Path | None,
        typer.Option(
            "--witness", metavar="FILE", help="Append the clients' actions as JSON lines."
        ),
    ] = None,
    witness_tokens: Annotated[
        bool, typer.Option("--witness-tokens", help="Record each batch of tokens too.")
    ] = False,
) -> None:
    """Serve the simulated provider over HTTP: an upstream for experiments, tests and benchmarks.

    Prints its base URL when it is ready, and serves until SIGTERM or Ctrl-C.
    """
    from web.config import Address
    from web.drill.witness import SimulateSettings, run_simulated

    try:
        address = Address.parse(bind)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--bind") from None
    settings = SimulateSettings(
        host=address.host,
        port=address.port,
        scenario=_scenario(scenario),
        witness=witness,
        witness_tokens=witness_tokens,
    )
    with _refusals(OSError, lambda error: _os_error_line(error, address, witness)):
        run_simulated(settings, typer.echo)


def _scenario(path: Path | None) -> "Scenario":
    from actors.providers.simulated import Scenario, load_scenario

    if path is None:
        return Scenario()
    try:
        return load_scenario(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        _refuse(f"--scenario {path}: {error}")


def _os_error_line(error: OSError, address: "Address", witness: Path | None) -> str:
    """Return the message for an `OSError`, naming the option that caused it."""
    why = error.strerror or str(error)
    if error.filename is not None:
        return f"--witness {witness}: {why}"
    if error.errno == errno.EADDRINUSE:
        return f"--bind {address}: another process uses this port; choose another port"
    return f"--bind {address}: {why}"


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
def _refusals(kind: type[E], line: Callable[[E], str]) -> Iterator[None]:
    """Exit with a message for each error of type `kind`, also in groups raised by nurseries."""
    refused: list[E] = []
    try:
        yield
    except* kind as group:
        refused.extend(_leaves(group))
    if refused:
        _refuse(*(line(error) for error in refused))


def _leaves(group: ExceptionGroup[E]) -> Iterator[E]:
    for error in group.exceptions:
        if isinstance(error, ExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _refuse(*lines: str) -> NoReturn:
    for line in lines:
        typer.echo(f"trouper: {line}", err=True)
    raise typer.Exit(1)


def main() -> None:
    """Run the console script `trouper`."""
    app(prog_name="trouper")


if __name__ == "__main__":
    main()
