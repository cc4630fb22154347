"""Tests of the import rules between the packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FORBIDDEN = {
    "actors": {"web", "store", "quart", "quart_trio", "hypercorn", "sqlalchemy", "alembic"},
    "store": {"web", "actors", "quart", "quart_trio", "hypercorn", "httpx"},
}
PACKAGED = ("actors", "store", "web")
GATE = ROOT / "actors" / "turn" / "records.py"
"""Only module of `actors` that may import the store."""


def imported(source: str) -> Iterator[str]:
    """Yield the top-level names of a module's imports, also inside functions and conditions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "use absolute imports, so that this test can check them"
            yield str(node.module).partition(".")[0]


def modules(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} has no modules: the test looks in the wrong place"
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_allowed_packages(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): sorted(crossing)
        for path in modules(package)
        if (crossing := FORBIDDEN[package].intersection(imported(path.read_text("utf-8"))))
        and not (path == GATE and crossing == {"store"})
    }
    assert wrong == {}


@pytest.mark.parametrize("package", PACKAGED)
def test_packaged_code_does_not_import_tests_or_benchmarks(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT))
        for path in modules(package)
        if {"tests", "bench"}.intersection(imported(path.read_text("utf-8")))
    }
    assert wrong == set()


def test_nested_imports_are_found() -> None:
    source = "if x:\n    import a.b\ndef f():\n    from c.d import e\n"
    assert list(imported(source)) == ["a", "c"]
