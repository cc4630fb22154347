"""Loads and runs the configurations of `docs/how-to/route-and-failover.md`."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.live.http_client import open_chat, turn
from tests.support.live.harness import ROOT, Server, serving
from web.config import Config, load

GUIDE = (ROOT / "docs" / "how-to" / "route-and-failover.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE, re.DOTALL)


def load_text(text: str, path: Path) -> Config:
    path.write_text(text)
    return load(path)


def test_configurations_can_be_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TROUPER_CONFIG", raising=False)
    large, breaker, show = (load_text(block, tmp_path / "t.toml") for block in BLOCKS)
    assert [str(entry.route) for entry in large.models["gpt-large"].routes][2] == "house/llama3.3"
    assert len(large.notes()) == 3, "one note for each API key that is not set"
    assert breaker.breaker.minimum_requests == 20
    assert list(show.models) == ["show"]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("show")
    config = directory / "show.toml"
    database = f'[store]\nurl = "sqlite:///{directory}/trouper.db"\n'
    config.write_text(BLOCKS[2] + database + '[server]\nbind = "127.0.0.1:0"\ngrace_s = 0\n')
    with serving(directory, config) as server:
        yield server


async def test_example_fails_over_and_opens_the_breaker(show: Server) -> None:
    attempts = [await _attempts(show, f"Hi {number}") for number in range(1, 7)]
    assert attempts[0] == [("one", 503), ("one", 503), ("two", None)]
    assert attempts[-1] == [("one", "breaker_open"), ("two", None)]


async def _attempts(show: Server, text: str) -> list[tuple[object, object]]:
    """Send one request; return each attempt's provider, and its status or why it was skipped."""
    async with open_chat(
        show, "show", stream=False, messages=[{"role": "user", "content": text}]
    ) as call:
        assert await call.head() == 200
    assert call.headers["x-trouper-route"] == "two/sim:delay=5ms"
    found = await turn(show, call.turn_id)
    assert isinstance(found["attempts"], list)
    return [
        (one["provider"], one["message"] if one["result"] == "skipped" else one["status_code"])
        for one in found["attempts"]
    ]
