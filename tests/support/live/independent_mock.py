"""Runs aimock (MIT), an independently written mock of the providers' wire formats, on Node.

`tests/support/live/aimock` pins the package and its hash. It is installed once, outside the
checkout. The CommonJS build is used because it also runs on Node 18.
"""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.live.harness import START_TIMEOUT_S
from tests.support.live.http_client import JSON
from tests.support.live.prerequisites import require

PACKAGE = Path(__file__).parent / "aimock"
LOCK = PACKAGE / "package-lock.json"
_FILES = (LOCK, PACKAGE / "package.json", PACKAGE / ".npmrc")
_PROGRAM = Path("node_modules/@copilotkit/aimock/dist/cli.cjs")
_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trouper-tests"
_INSTALL_S = 300.0
_LISTENS = re.compile(r"listening on http://127\.0\.0\.1:([0-9]{1,5})")


@contextmanager
def independent_mock(directory: Path, fixtures: Sequence[JSON]) -> Iterator[int]:
    """Serve these fixtures, and nothing else, in all formats; yield the port."""
    require(bool(shutil.which("node") and shutil.which("npm")), "node and npm are missing")
    served, log = directory / "fixtures.json", directory / "mock.log"
    served.write_text(json.dumps({"fixtures": fixtures}))
    listen = ("--host", "127.0.0.1", "--port", "0")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "node",
                _ensure_installed(),
                *listen,
                "--fixtures",
                served,
                "--strict",
                "--validate-on-load",
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield _port(process, log)
    finally:
        process.terminate()
        process.wait(5)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until the mock logs that it listens, and return the port."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while (found := _LISTENS.search(log.read_text())) is None:
        assert process.poll() is None, f"the mock did not start: {log.read_text()}"
        assert time.monotonic() < deadline, f"the mock does not listen: {log.read_text()}"
        time.sleep(0.01)
    return int(found[1])


def _ensure_installed() -> Path:
    """Return the path of the program, after installing this version if it is missing."""
    target = _CACHE / f"independent-{sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    if not (target / _PROGRAM).exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=_CACHE) as staging:
            _install(Path(staging), target)
    return target / _PROGRAM


def _install(staging: Path, target: Path) -> None:
    """Install into `staging` and move the complete installation to `target`."""
    package = staging / "package"
    package.mkdir()
    for file in _FILES:
        shutil.copy(file, package)
    done = subprocess.run(
        ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=package,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_INSTALL_S,
        check=False,
    )
    require(done.returncode == 0, f"npm cannot install the mock: {done.stderr[-2000:]}")
    package.rename(target)
