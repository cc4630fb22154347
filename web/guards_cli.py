"""Commands `trouper guards`: what guards there are, and what they find in a text."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from actors.guards.input.recall import Part
    from actors.guards.spec import Check, GuardSpec, Scores, Span

_EXCERPT = 60
"""Most characters of a span that are shown."""
_WIDTH = 22
"""Width of the first column: the longest name of a guard or a class."""

guards = typer.Typer(
    no_args_is_help=True, help="List guards, try them on a text, and measure the scores of input."
)


@guards.command("list")
def list_guards() -> None:
    """Print the output guards in the order of the chain, and the classes of input."""
    from actors.guards.input.scoring import BONUS, WEIGHTS
    from web.registry import guards as registered

    typer.echo("Output guards, in the order of the chain:")
    for guard in registered().values():
        chain = "streaming" if guard.streaming else "full"
        typer.echo(f"  {guard.name:{_WIDTH}} {guard.action:8} {chain:10} {guard.does}")
    typer.echo("\nClasses of input, with their weights:")
    for each, weight in WEIGHTS.items():
        typer.echo(f"  {each:{_WIDTH}} {weight / 100:.2f}")
    typer.echo(f"  {'more than two classes':{_WIDTH}} {BONUS / 100:.2f}")


@guards.command("try")
def try_guards(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Text file, or - for standard input.")
    ],
) -> None:
    """Score the text as input, and run every output guard on it as if it were an answer."""
    from actors.guards.input.scoring import score

    text = _read(file)
    result = score(text)
    typer.echo(f"As input: {result.total:.2f}, {result.level}")
    for each, spans in result.classes.items():
        _show(each, (_place(text, span) for span in spans))
    typer.echo("As an answer:")
    _try_output(text)


def _read(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode()
    except OSError as error:
        why = error.strerror or str(error)
    except UnicodeDecodeError as error:
        why = f"byte {error.start} is not UTF-8; convert the file first"
    typer.echo(f"trouper: {file}: {why}", err=True)
    raise typer.Exit(1)


def _try_output(text: str) -> None:
    from actors.guards.spec import GuardContext
    from actors.guards.wording.semantics import scores
    from web.config.guard_settings import GuardSettings
    from web.registry import guards as registered

    context = GuardContext(personal_data=frozenset(GuardSettings().personal_data))
    rated = scores(text)
    idle: list[str] = []
    for guard in registered().values():
        check = guard.make(context)
        if check is None:
            idle.append(guard.name)
        else:
            _show(guard.name, _findings(guard, check, text, rated))
    if idle:
        typer.echo(f"Not tried, because they need more of a turn: {', '.join(idle)}")


def _findings(guard: "GuardSpec", check: "Check", text: str, rated: "Scores") -> Iterable[str]:
    """Return a line for each span that the guard finds, or for its verdict."""
    from actors.guards.prose import spans_of
    from actors.guards.spec import PASS, SpanCheck

    if isinstance(check, SpanCheck):
        return [f"{guard.action}  {_place(text, span)}" for span in spans_of(check, text)]
    verdict = check.check(text, rated)
    return [] if verdict == PASS else [guard.action]


def _show(name: str, lines: Iterable[str]) -> None:
    for line in lines:
        typer.echo(f"  {name:{_WIDTH}} {line}")


def _place(text: str, span: "Span") -> str:
    """Return the position of a span and the beginning of its text, on one line."""
    excerpt = text[span.begin : min(span.end, span.begin + _EXCERPT)]
    more = "…" if span.end > span.begin + _EXCERPT else ""
    return f"{span.begin}-{span.end}  {excerpt!r}{more}"


@guards.command()
def recall() -> None:
    """Measure how many attacks and benign texts of the corpora score at least caution."""
    from actors.guards.input.recall import Part

    _measure("Corpus that the rules were written with", Part.READ)
    _measure("Held-out corpus", Part.HELD_OUT)


def _measure(title: str, part: "Part") -> None:
    from actors.guards.input.recall import measure, total

    attacks, benign = measure(part, "attacks"), measure(part, "benign")
    all_attacks, all_benign = total(attacks), total(benign)
    if all_attacks is None or all_benign is None:
        typer.echo(f"{title}: not installed")
        return
    typer.echo(f"{title}: attacks found")
    for name, row in (*attacks.items(), ("all", all_attacks)):
        typer.echo(f"  {name:{_WIDTH}} {row.found:4} of {row.texts:4}  {row.share:6.1%}")
    wrong = f"{all_benign.found:4} of {all_benign.texts:4}  {all_benign.share:6.1%}"
    typer.echo(f"  {'false positives':{_WIDTH}} {wrong}")
