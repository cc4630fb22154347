"""Recall of the rules: how many attacks of the corpora they find, and how many benign texts.

`corpus/attacks.jsonl` and `corpus/benign.jsonl` are the part that the rules were written with.
`held_out_*.jsonl` is by other authors, and was not read before the rules were final. Each line is
an object with `class` and `text`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import StrEnum
from importlib.resources import files

import msgspec
from msgspec import Struct

from actors.guards.input.scoring import Level, score


class Part(StrEnum):
    """A part of the corpora. The value is the beginning of its file names."""

    READ = ""
    HELD_OUT = "held_out_"


class Sample(Struct, frozen=True):
    """A text of a corpus."""

    kind: str = msgspec.field(name="class")
    text: str


class Found(Struct, frozen=True):
    """Texts of a class: all of them, those that score at least caution, and those blocked."""

    texts: int
    found: int
    blocked: int

    @property
    def share(self) -> float:
        """The share of texts that score at least caution."""
        return self.found / self.texts


def samples(part: Part, name: str) -> Iterator[Sample]:
    """Yield the samples `attacks` or `benign` of a part; none if the part has no such file."""
    path = files(__package__).joinpath("corpus", f"{part}{name}.jsonl")
    if path.is_file():
        for line in path.read_text("utf-8").splitlines():
            yield msgspec.json.decode(line, type=Sample)


def measure(part: Part, name: str) -> Mapping[str, Found]:
    """Return what is found in the samples `attacks` or `benign` of a part, by class."""
    texts: Counter[str] = Counter()
    levels: Counter[tuple[str, Level]] = Counter()
    for sample in samples(part, name):
        texts[sample.kind] += 1
        levels[sample.kind, score(sample.text).level] += 1
    return {
        kind: Found(total, total - levels[kind, Level.CLEAN], levels[kind, Level.BLOCKED])
        for kind, total in texts.items()
    }


def total(found: Mapping[str, Found]) -> Found | None:
    """Return the sum of all classes, or None if there are none."""
    if not found:
        return None
    rows = found.values()
    return Found(
        sum(row.texts for row in rows),
        sum(row.found for row in rows),
        sum(row.blocked for row in rows),
    )
