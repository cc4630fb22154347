"""A surface, a guard and a provider format that follow CONTRIBUTING.md work.

They are in `tests/support/newcomer`, one folder each. All that they need elsewhere is one line in
`web.registry`, which the tests add.
"""

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import cast

import httpx
import pytest
import trio

from actors.guards.gate.scanner import ActiveCheck, Scanner
from actors.guards.spec import GuardSpec
from actors.providers.formats.base import FormatSpec
from tests.support.asgi_client import App, streaming_client
from tests.support.newcomer.checks.word_filter import GUARD, word_filter
from web import registry
from web.app import create_app
from web.config import Config
from web.main import open_service
from web.service import Surface

ROOT = Path(__file__).parent.parent
NEWCOMER = ROOT / "tests" / "support" / "newcomer"
FOLDERS = {
    "echo": "web/surfaces/echo",
    "checks": "actors/guards/checks",
    "lines": "actors/providers/formats/lines",
}
"""Folders as CONTRIBUTING.md names them."""
SIM: dict[str, object] = {"format": "simulated"}


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Add the line of each newcomer to the registry."""
    for name, entry in (
        ("SURFACES", "tests.support.newcomer.echo.routes:SURFACE"),
        ("GUARDS", "tests.support.newcomer.checks.word_filter:GUARD"),
        ("FORMATS", "tests.support.newcomer.lines:FORMAT"),
    ):
        monkeypatch.setattr(registry, name, (*getattr(registry, name), entry))
    registry.guards.cache_clear()
    yield
    registry.guards.cache_clear()


@asynccontextmanager
async def running_app(directory: Path, **provider: object) -> AsyncIterator[httpx.AsyncClient]:
    """Run the whole application with a model `m` of this provider."""
    route = "up/sim:echo,first=0,delay=0" if provider == SIM else "up/x"
    config = Config.model_validate(
        {
            "providers": {"up": provider},
            "models": {"m": {"routes": [route]}},
            "store": {"url": f"sqlite:///{directory}/trouper.db"},
            "guards": {"output": ["word_filter"]},
        }
    )
    async with (
        open_service(config) as service,
        streaming_client(cast("App", create_app(service))) as (client, _),
    ):
        yield client


def frames(stream: httpx.Response) -> list[object]:
    """Return the decoded data of all frames."""
    lines = [line for line in stream.text.splitlines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.usefixtures("register")
async def test_surface_streams_a_turn_in_its_own_dialect(tmp_path: Path) -> None:
    body = {"model": "m", "text": "hello there", "stream": True}
    async with running_app(tmp_path, **SIM) as client:
        stream = await client.post("/v1/echo", json=body)
        turn = stream.headers["x-turn-id"]
        again = await client.get(f"/v1/turns/{turn}/events", headers={"Last-Event-ID": "echo:0"})
        shown = (await client.get(f"/v1/turns/{turn}")).json()
    *texts, last = frames(stream)
    assert "".join(map(str, texts)) == "hello there"
    assert last == {"status": "completed"}
    assert frames(again) == [*texts[1:], last]
    assert shown["text"] == "hello there"


@pytest.mark.usefixtures("register")
async def test_surface_answers_with_an_object_and_with_errors(tmp_path: Path) -> None:
    async with running_app(tmp_path, **SIM) as client:
        whole = await client.post("/v1/echo", json={"model": "m", "text": "hello"})
        wrong = await client.post("/v1/echo", json={"model": "m", "text": ""})
    assert whole.json() == {"text": "hello"}
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "text")


@pytest.mark.usefixtures("register")
async def test_guard_filters_every_turn(tmp_path: Path) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a secret, secretly: sec"}]}
    async with running_app(tmp_path, **SIM) as client:
        answer = await client.post("/v1/chat/completions", json=body)
        echo = {"model": "m", "text": "no secret", "stream": True}
        stream = await client.post("/v1/echo", json=echo)
    text = answer.json()["choices"][0]["message"]["content"]
    assert text == "a ******, secretly: sec"
    assert "".join(map(str, frames(stream)[:-1])) == "no ******"


@pytest.mark.parametrize("cut", range(1, 12))
def test_guard_finds_a_word_that_is_split_over_pieces(cut: int) -> None:
    text = "my secret sec"
    check = ActiveCheck(0, GUARD, word_filter("secret", "-"))
    scanner = Scanner([check], lambda guard, error: None)
    (found,) = [*scanner.feed(text[:cut]), *scanner.feed(text[cut:]), *scanner.end()]
    assert (found.begin, found.end, found.replacement) == (3, 9, "-")


class Upstream:
    """A server that speaks the lines API: it answers every request with these lines."""

    def __init__(self, *lines: str) -> None:
        self.body = "".join(f"{line}\n" for line in lines)
        self.received = b""

    async def answer(self, stream: trio.SocketStream) -> None:
        async with stream:
            while b"hello" not in self.received:
                self.received += await stream.receive_some()
            head = "HTTP/1.1 200 OK\r\ncontent-type: text/x-lines\r\nconnection: close\r\n\r\n"
            await stream.send_all((head + self.body).encode())


@asynccontextmanager
async def running_upstream(upstream: Upstream) -> AsyncIterator[str]:
    """Serve on a free port and yield the base URL."""
    async with trio.open_nursery() as nursery:
        [listener] = await nursery.start(
            partial(trio.serve_tcp, upstream.answer, 0, host="127.0.0.1")
        )
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}/api"
        nursery.cancel_scope.cancel()


@pytest.mark.usefixtures("register")
async def test_format_sends_calls_and_decodes_answers(tmp_path: Path) -> None:
    upstream = Upstream("+good", "+ day", ".")
    async with (
        running_upstream(upstream) as url,
        running_app(tmp_path, format="lines", base_url=url, api_key="k-1") as client,
    ):
        answer = await client.post("/v1/echo", json={"model": "m", "text": "hello"})
    assert answer.json() == {"text": "good day"}
    head, _, body = upstream.received.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /api/ask HTTP/1.1\r\n")
    assert b"x-key: k-1" in head
    assert body == b'{"text":"hello"}'


@pytest.mark.usefixtures("register")
async def test_error_line_of_a_format_is_an_error_response(tmp_path: Path) -> None:
    async with (
        running_upstream(Upstream("!broken")) as url,
        running_app(tmp_path, format="lines", base_url=url) as client,
    ):
        answer = await client.post("/v1/echo", json={"model": "m", "text": "hello"})
    assert answer.status_code == 502
    assert "broken" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("entries", "kind"),
    [
        (registry.SURFACES, Surface),
        (registry.FORMATS, FormatSpec),
        (registry.GUARDS, GuardSpec),
    ],
)
def test_every_line_of_the_registry_can_be_loaded(entries: list[str], kind: type[object]) -> None:
    assert len(registry.load(entries, kind)) == len(set(entries))


def test_line_that_names_something_else_is_refused() -> None:
    with pytest.raises(TypeError, match="NAME is a str, not a Surface"):
        registry.load(["web.dialects.openai_chat.stream:NAME"], Surface)


def by_kind(source: str) -> tuple[list[str], list[str]]:
    """Return the imports, whose order depends on the folder's name, and the other lines."""
    lines = source.splitlines()
    imports = sorted(line for line in lines if line.startswith("from "))
    return imports, [line for line in lines if not line.startswith("from ")]


def test_contributing_shows_exactly_these_files() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    blocks = re.findall(r"`([\w/]+\.py)`:\n\n( *)```python\n(.*?)\n\2```", page, re.DOTALL)
    shown = {path: re.sub(f"(?m)^{indent}", "", code) + "\n" for path, indent, code in blocks}
    for name, folder in FOLDERS.items():
        for path in sorted((NEWCOMER / name).glob("*.py")):
            source = path.read_text("utf-8")
            assert len(source.splitlines()) < 60
            module = folder.replace("/", ".")
            source = source.replace(f"tests.support.newcomer.{name}", module)
            assert by_kind(shown.pop(f"{folder}/{path.name}")) == by_kind(source)
    assert shown == {}
