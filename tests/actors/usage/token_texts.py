"""Training and held-out texts for the accuracy test.

The files in `texts/` were written for this test. English and code also use documents and sources
of this repository, divided by the checksum of their paths.
"""

import zlib
from pathlib import Path

KINDS = ("english", "code", "chinese", "mixed")
HALVES = ("training", "held_out")
ROOT = Path(__file__).parents[3]
LONGEST = 6_000
_OURS = {"english": ("docs/**/*.md",), "code": ("actors/**/*.py", "web/**/*.py")}


def texts(half: str, kind: str) -> list[str]:
    """Return all texts of a kind in one of the halves."""
    written = (Path(__file__).parent / "texts" / half / f"{kind}.txt").read_text("utf-8")
    return [*written.rstrip("\n").split("\n=====\n"), *_ours(half, kind)]


def _ours(half: str, kind: str) -> list[str]:
    paths = sorted(p for pattern in _OURS.get(kind, ()) for p in ROOT.glob(pattern))
    mine = [
        p
        for p in paths
        if zlib.crc32(p.relative_to(ROOT).as_posix().encode()) % 2 == HALVES.index(half)
    ]
    return [text[:LONGEST] for p in mine if len(text := p.read_text("utf-8")) > 1_000]
