"""Holds docstrings, comments, docs and newsfragments to plain technical English.

The rules are in CONTRIBUTING.md. A violation is reported with its file and line; there is no list
of files that may break them.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CODE = ("actors", "web", "store", "tests", "bench", ".ci")

OPENERS = re.compile(r"(What|Whether|Who|Whoever|Whose|How|Where|Of a|So many|Nobody|Somebody)\b")
WORDS = re.compile(
    r"\b(anew|besides|all\s+the\s+same|nobody|somebody|whoever|is\s+told|are\s+told|goes\s+on"
    r"|go\s+on|plays\s+on|stands\s+for\s+itself|lies\s+there)\b",
    re.IGNORECASE,
)
CODE_SPAN = re.compile(r"`[^`]*`")
"""Markdown code spans, such as default values, which are quoted and not prose."""
FRAGMENT_WORDS = 25
"""The most words that a newsfragment may have."""


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Yield each docstring, attribute docstring and comment with its line number."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str):
                yield node.lineno, text.strip()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string.lstrip("#").strip()


def violations(text: str) -> Iterator[str]:
    """Yield the banned opener and words of one docstring or comment."""
    if opener := OPENERS.match(text):
        yield f'starts with "{opener[0]}"'
    yield from (f'says "{word[0]}"' for word in WORDS.finditer(text))


def python_files() -> list[Path]:
    found = sorted(path for folder in CODE for path in (ROOT / folder).rglob("*.py"))
    assert len(found) > 100, "the test looks in the wrong place"
    return found


def pages() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("newsfragments/*")])


def test_docstrings_and_comments_are_plain() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line} {violation}"
        for path in python_files()
        for line, text in prose(path.read_text("utf-8"))
        for violation in violations(text)
    ]
    assert not found, "\n".join(found)


def test_docs_and_newsfragments_are_plain() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number} says {word[0]!r}"
        for path in pages()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        for word in WORDS.finditer(CODE_SPAN.sub("", line))
    ]
    assert not found, "\n".join(found)


def test_newsfragments_are_short() -> None:
    fragments = [path for path in (ROOT / "newsfragments").iterdir() if path.stem != "README"]
    lengths = {path.name: len(path.read_text("utf-8").split()) for path in fragments}
    assert {name: length for name, length in lengths.items() if length > FRAGMENT_WORDS} == {}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('"""What it does."""\n', ['starts with "What"']),
        ("x = 1\n'''All the\n    same to us.'''\n", ['says "All the\n    same"']),
        ("x = 1  # nobody goes on\n", ['says "nobody"', 'says "goes on"']),
        ('def f():\n    """Return whatever was sent."""\n', []),
        ('x = "nobody"\n', []),
    ],
)
def test_violations_are_found_in_all_kinds_of_prose(source: str, expected: list[str]) -> None:
    assert [violation for _, text in prose(source) for violation in violations(text)] == expected
