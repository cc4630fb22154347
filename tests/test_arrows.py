"""Checks imports against the allowed dependencies of packages and of their subpackages.

The subpackages are the folders (and modules) directly below `actors`, `web` and `store`. Their maps
are in the packages' docstrings; docs/explanation/architecture.md gives the reasons.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("actors", "store", "web")
SERVER_LIBRARIES = {"quart", "quart_trio", "hypercorn", "werkzeug"}
FORBIDDEN = {
    "actors": {"web", "store", "sqlalchemy", "alembic", *SERVER_LIBRARIES},
    "store": {"web", "actors", "httpx", *SERVER_LIBRARIES},
}
GATE = "actors.turn.store_records"
"""The one module of `actors` that imports the store."""

BASE = {"actors.turn", "actors.ports", "actors.runtime"}
SUBPACKAGES: dict[str, set[str]] = {
    "actors.runtime": set(),
    "actors.turn": set(),
    "actors.turn.state": {"actors.answer", "actors.journal"},
    "actors.turn.request": {"actors.ports"},
    "actors.turn.step": {"actors.ports"},
    "actors.ports": {"actors.turn"},
    "actors.answer": {"actors.turn", "actors.runtime"},
    "actors.journal": BASE,
    "actors.usage": BASE,
    "actors.routing": BASE,
    "actors.continuation": BASE,
    "actors.guards": {*BASE, "actors.guard", "actors.accumulator"},
    "actors.providers": {*BASE, "actors.usage"},
    "actors.attempts": {*BASE, "actors.continuation", "actors.routing"},
    "actors.finalisation": {
        *BASE,
        *("actors.answer", "actors.attempts", "actors.journal", "actors.usage"),
        "actors.persister",  # its events and text are what is decided on
    },
    "store.records": set(),
    "store.migrations": {"store.database"},
    "store.database": {"store.records", "store.migrations"},
    "store.ownership": {"store.records"},
    "store.turns": {"store.records", "store.database", "store.ownership.ownership"},
    "store.conversations": {"store.records", "store.database"},
    "store.spool": {"store.records", "store.database", "store.ownership"},
    "web.config": {"web.registry"},
    "web.server": set(),
    "web.dialects": set(),
    "web.observability": {"web.server"},
    "web.auth": {"web.http"},
    "web.http": {"web.dialects", "web.observability", "web.server"},
    "web.process": {"web.config", "web.observability", "web.server"},
    "web.providers": {"web.config", "web.process"},
    "web.supervisor": {"web.config", "web.process", "web.server"},
    "web.turns": {"web.config", "web.dialects", "web.http", "web.observability", "web.service"},
    "web.surfaces": {
        *("web.dialects", "web.http", "web.observability", "web.providers"),
        *("web.service", "web.turns"),
    },
    "web.drill": {"web.dialects", "web.http", "web.surfaces"},
}
"""The other subpackages of its package that a subpackage may import.

An entry for a module has precedence over that of its subpackage.
"""

WITHOUT_QUART = ("web.config", "web.dialects", "web.drill", "web.observability", "web.process")
MAX_ENTRIES = 14
"""Maximum number of entries of a folder below the packages, `__init__.py` included."""
REGISTRIES = ("checks", "formats", "surfaces")
"""Folders with one entry for each thing of a kind, which may have any number."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def imported(source: str) -> Iterator[str]:
    """Yield the full name of everything that a module imports, in functions and conditions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


IMPORTS = {name: set(imported(path.read_text("utf-8"))) for name, path in MODULES.items()}


def test_all_packages_are_found() -> None:
    assert all(sum(within(name, package) for name in MODULES) > 10 for package in PACKAGES)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_packages_import_only_along_the_arrows(package: str) -> None:
    wrong = {
        (name, used)
        for name, uses in IMPORTS.items()
        for used in uses
        if within(name, package) and used.partition(".")[0] in FORBIDDEN[package]
        if not (name == GATE and within(used, "store"))
    }
    assert wrong == set()


def test_packages_import_neither_tests_nor_benchmarks() -> None:
    wrong = {
        (name, used)
        for name, uses in IMPORTS.items()
        for used in uses
        if used.partition(".")[0] in {"tests", "bench"}
    }
    assert wrong == set()


@pytest.mark.parametrize("subpackage", SUBPACKAGES)
def test_subpackages_import_only_those_listed(subpackage: str) -> None:
    package = subpackage.partition(".")[0]
    exceptions = [other for other in SUBPACKAGES if other.startswith(f"{subpackage}.")]
    own = ".".join(subpackage.split(".")[:2])
    wrong = {
        (name, used)
        for name, uses in IMPORTS.items()
        for used in uses
        if within(name, subpackage) and not any(within(name, other) for other in exceptions)
        if within(used, package) and not within(used, own)
        if not any(within(used, allowed) for allowed in SUBPACKAGES[subpackage])
    }
    assert wrong == set()


@pytest.mark.parametrize("subpackage", WITHOUT_QUART)
def test_only_the_glue_imports_quart(subpackage: str) -> None:
    wrong = {
        (name, used)
        for name, uses in IMPORTS.items()
        for used in uses
        if within(name, subpackage) and used.partition(".")[0] in {"quart", "quart_trio"}
    }
    assert wrong == set()


def modules_of(name: str) -> set[str]:
    """Return the modules that the module imports, whether it names them or something in them."""
    used = {n if n in MODULES else n.rpartition(".")[0] for n in IMPORTS[name]}
    return used & MODULES.keys() - {name}


def test_no_module_imports_itself_through_others() -> None:
    """Remove modules that import nothing that is left, until only cycles are left."""
    left = {name: modules_of(name) for name in MODULES}
    while free := [name for name, uses in left.items() if not uses & left.keys()]:
        for name in free:
            del left[name]
    cycles = {name: sorted(uses & left.keys()) for name, uses in left.items()}
    assert cycles == {}


def entries(package: str) -> set[str]:
    """Return the names of the modules and subpackages directly in a package."""
    depth = package.count(".") + 1
    return {name.split(".")[depth] for name in MODULES if name.startswith(f"{package}.")}


SUBFOLDERS = [
    name
    for name, path in MODULES.items()
    if path.name == "__init__.py" and "." in name and "versions" not in name
]


def test_every_subpackage_has_its_arrows() -> None:
    """A subpackage without a row could import anything."""
    top = {name for name in SUBFOLDERS if name.count(".") == 1}
    assert top - SUBPACKAGES.keys() == set()


@pytest.mark.parametrize("package", SUBFOLDERS)
def test_folders_stay_small(package: str) -> None:
    if package.rpartition(".")[2] not in REGISTRIES:
        assert len(entries(package)) + 1 <= MAX_ENTRIES


@pytest.mark.parametrize("package", [*PACKAGES, *SUBFOLDERS])
def test_package_docstrings_name_every_entry(package: str) -> None:
    if package.rpartition(".")[2] in REGISTRIES:
        return  # `web.registry` lists their entries
    described = ast.get_docstring(ast.parse(MODULES[package].read_text("utf-8"))) or ""
    assert {name for name in entries(package) if f"`{name}`" not in described} == set()


def test_imports_are_found_wherever_they_hide() -> None:
    source = "if x:\n    import a.b\ndef f():\n    from c.d import e\n"
    assert list(imported(source)) == ["a.b", "c.d.e"]
