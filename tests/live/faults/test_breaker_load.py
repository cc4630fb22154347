"""Breakers under load on real sockets: a provider with normal errors, an outage, a bad prompt."""

import json
import random
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import h11
import pytest
import trio

from tests.support.live.harness import Server, serving, write_config
from tests.support.live.http_client import fetch, open_chat
from tests.support.sizes import FULL

RATE = 50 if FULL else 20
"""Requests a second."""
NORMAL_S, DOWN_S, BACK_S = (30, 60, 15) if FULL else (4, 5, 3)
"""Seconds of normal errors, of the outage, and after it."""
SHARE = 0.01 if FULL else 0.05
DETECTED_S = 2.0
USED_AGAIN_S = 2.5
"""Limit for using the provider again after its return: a second to the next probe, and slack."""
POISON = "poison"
ANSWER = {
    "id": "chat-1",
    "object": "chat.completion",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Fine."},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


@dataclass
class FlakyUpstream:
    """A provider that fails a share of the requests, those with a bad prompt, and all when down."""

    down: bool = False
    share: float = SHARE
    asked_at: list[float] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    """Number of failed requests by prompt."""
    chance: random.Random = field(default_factory=lambda: random.Random(12))

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Return status and body of the response."""
        self.asked_at.append(trio.current_time())
        prompt = str(json.loads(body)["messages"][0]["content"])
        if prompt == POISON:
            return 500, b'{"error": {"message": "crashed"}}'
        if self.down or self.chance.random() < self.share:
            self.failed[prompt] += 1
            return 503, b'{"error": {"message": "overloaded"}}'
        return 200, json.dumps(ANSWER).encode()

    async def handle(self, stream: trio.SocketStream) -> None:
        """Serve the requests of one connection."""
        connection = h11.Connection(h11.SERVER)
        body = bytearray()
        with suppress(trio.BrokenResourceError):
            while True:
                match event := connection.next_event():
                    case h11.NEED_DATA:
                        connection.receive_data(await stream.receive_some())
                    case h11.Data():
                        body += event.data
                    case h11.EndOfMessage():
                        status, content = self.answer(bytes(body))
                        headers = [
                            ("Content-Type", "application/json"),
                            ("Content-Length", str(len(content))),
                        ]
                        head = connection.send(h11.Response(status_code=status, headers=headers))
                        rest = connection.send(h11.Data(data=content))
                        connection.send(h11.EndOfMessage())
                        await stream.send_all((head or b"") + (rest or b""))
                        connection.start_next_cycle()
                        body.clear()
                    case h11.ConnectionClosed():
                        return


@dataclass
class Clients:
    """Clients of one model, each with a prompt of its own."""

    server: Server
    sent: int = 0
    refused_at: dict[str, float] = field(default_factory=dict)
    """Times at which the refused prompts were sent."""

    async def ask(self, prompt: str = "") -> bool:
        """Send one request and return True if it is answered."""
        self.sent += 1
        prompt = prompt or f"prompt {self.sent}"
        asked_at = trio.current_time()
        messages = [{"role": "user", "content": prompt}]
        async with open_chat(self.server, "up/m", stream=False, messages=messages) as call:
            status = await call.head()
            error = json.loads(await call.read_all()).get("error")
        if status == 200:
            return True
        assert status in {502, 503}
        if status == 503:
            assert int(call.headers["retry-after"]) >= 1
            assert "up/m" in error["message"]
        self.refused_at[prompt] = asked_at
        return False

    async def load(self, seconds: float) -> None:
        """Send `RATE` requests a second."""
        async with trio.open_nursery() as nursery:
            for _ in range(int(RATE * seconds)):
                nursery.start_soon(self.ask)
                await trio.sleep(1 / RATE)


@pytest.mark.alone
async def test_errors_outage_and_bad_prompt_are_not_amplified(tmp_path: Path) -> None:
    upstream = FlakyUpstream()
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, upstream.handle, 0, host="127.0.0.1")
        listeners: list[trio.SocketListener] = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        with serving(tmp_path, write_config(tmp_path, port, "grace_s = 0\n")) as server:
            await check_normal_errors(upstream, Clients(server))
            await check_outage(upstream, Clients(server))
            await check_bad_prompt(Clients(server))
        nursery.cancel_scope.cancel()


async def check_normal_errors(upstream: FlakyUpstream, clients: Clients) -> None:
    """Without a breaker, those requests are refused whose both attempts failed."""
    await clients.load(NORMAL_S)
    without_breaker = sum(times > 1 for times in upstream.failed.values())
    assert sum(upstream.failed.values()) > 0
    assert len(clients.refused_at) <= 1.2 * without_breaker


async def check_outage(upstream: FlakyUpstream, clients: Clients) -> None:
    upstream.share = 0.0
    upstream.down, down_at = True, trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clients.load, DOWN_S + BACK_S)
        await trio.sleep(DOWN_S)
        upstream.down, back_at = False, trio.current_time()
    probes = [at for at in upstream.asked_at if down_at + DETECTED_S < at < back_at]
    assert len(probes) >= DOWN_S - DETECTED_S - 2
    # The server's second is measured at its end, so a probe may be a little late and the next not.
    assert all(later - earlier > 0.8 for earlier, later in pairwise(probes))
    assert back_at - 1 < max(clients.refused_at.values()) < back_at + USED_AGAIN_S


async def check_bad_prompt(clients: Clients) -> None:
    for _ in range(2):
        assert not await clients.ask(POISON)
    assert all([await clients.ask() for _ in range(36)])
    _, found = await fetch(clients.server, "/v1/routes")
    assert isinstance(found["data"], list)
    assert [(one["route"], one["state"], one["failures"]) for one in found["data"]] == [
        ("up/m", "closed", 1)
    ]
