"""Writes the lock files: the versions that pip-compile chooses on all supported Pythons.

Usage: lock.py SCRATCH-DIRECTORY. Needs every interpreter of `PYTHONS` on PATH. A package that only
some of them need gets a marker. Package indexes are not written to the files, because they are
configured on each machine.
"""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

PYTHONS = ("3.11", "3.12", "3.13")
HEADER = """\
# Written by `make lock` from pyproject.toml, with pip-compile on Python {pythons}.
# Do not edit: `make lock` overwrites it.
"""


def main(scratch: Path) -> None:
    """Compile each file with the previous one as a constraint, so that their versions agree."""
    tools = {python: _pip_tools(scratch / python, python) for python in PYTHONS}
    groups = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["dependency-groups"]
    _lock(tools, "requirements.lock", ["pyproject.toml"])
    dev = ["--constraint", "requirements.lock", "pyproject.toml"]
    _lock(tools, "requirements-dev.lock", dev, tuple(groups["dev"]))
    build = ["--constraint", "requirements-dev.lock"]
    _lock(tools, "requirements-build.lock", build, tuple(groups["build"]))


def _pip_tools(directory: Path, python: str) -> Path:
    subprocess.run([f"python{python}", "-m", "venv", directory], check=True)
    subprocess.run([directory / "bin/pip", "install", "--quiet", "pip-tools>=7.5"], check=True)
    return directory / "bin/pip-compile"


def _lock(
    tools: dict[str, Path], name: str, sources: list[str], more: tuple[str, ...] = ()
) -> None:
    needed = [*sources, *(["-"] if more else [])]
    found = {python: _compile(tool, needed, "\n".join(more)) for python, tool in tools.items()}
    packages = sorted({package for blocks in found.values() for package in blocks})
    with Path(name).open("w", encoding="utf-8") as file:
        file.write(HEADER.format(pythons=", ".join(PYTHONS)))
        for package in packages:
            having = [python for python in PYTHONS if package in found[python]]
            file.write(f"{package}{_marker(having)} \\\n{found[having[0]][package]}")


def _compile(tool: Path, sources: list[str], more: str) -> dict[str, str]:
    """Return the chosen `name==version`s, each with its lines of hashes and comments."""
    command: list[str | Path] = [
        *(tool, "--quiet", "--upgrade", "--generate-hashes", "--strip-extras", "--allow-unsafe"),
        *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
        *("--no-emit-trusted-host", "--no-emit-options", "--output-file", "-", *sources),
    ]
    done = subprocess.run(command, input=more, text=True, check=True, stdout=subprocess.PIPE)
    blocks: dict[str, str] = {}
    for line in done.stdout.replace("-r -", "pyproject.toml").splitlines():
        if line and not line[0].isspace() and line[0] != "#":
            package = line.partition(" ")[0]
            blocks[package] = ""
        elif blocks:
            blocks[package] += f"{line}\n"
    return blocks


def _marker(having: list[str]) -> str:
    """Return a short marker for the Pythons that need a package.

    It lists the excluded versions where possible, so that newer Pythons are included.
    """
    if len(having) == len(PYTHONS):
        return ""
    excluded = [python for python in PYTHONS if python not in having]
    if len(having) == 1:
        return f' ; python_version == "{having[0]}"'
    return " ; " + " and ".join(f'python_version != "{python}"' for python in excluded)


if __name__ == "__main__":
    os.environ["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    main(Path(sys.argv[1]))
