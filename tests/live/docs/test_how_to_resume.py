"""Runs the client of `docs/how-to/resume.md` through a proxy that keeps disconnecting it."""

import re
import sys
from functools import partial
from pathlib import Path

import trio

from tests.support.live import harness

PAGE = harness.ROOT / "docs" / "how-to" / "resume.md"
LINGER_SETTINGS = """
[turns]
mode = "linger"
resume_window_s = 10
[models.sim]
routes = ["up/sim:tokens=60,delay=5ms"]
"""
CUT_AFTER = 3000
"""Bytes of a response after which the proxy closes the connection."""


class DisconnectingProxy:
    """A TCP proxy that closes each connection after `CUT_AFTER` bytes of the response."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.disconnects = 0

    async def handle(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self._port)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._forward_request, client, server)
            await self._forward_response(server, client)
            nursery.cancel_scope.cancel()

    async def _forward_request(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        async for data in client:
            await server.send_all(data)

    async def _forward_response(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        left = CUT_AFTER
        async for data in server:
            await client.send_all(data[:left])
            left -= len(data)
            if left <= 0:
                self.disconnects += 1
                return


async def test_example_client_receives_the_complete_answer(
    tmp_path: Path, upstream: harness.Process
) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    config = harness.write_config(tmp_path, upstream.port, LINGER_SETTINGS)
    with harness.serving(tmp_path, config) as server:
        proxy = DisconnectingProxy(server.port)
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_tcp, proxy.handle, 0, host="127.0.0.1")
            )
            port = listeners[0].socket.getsockname()[1]
            with trio.fail_after(30):
                ran = await trio.run_process(
                    [sys.executable, "-c", example],
                    env={"TROUPER": f"http://127.0.0.1:{port}"},
                    capture_stdout=True,
                )
            nursery.cancel_scope.cancel()
        ((text,),) = server.rows("SELECT text FROM messages WHERE role = 'assistant'")
    assert proxy.disconnects >= 3
    assert ran.stdout.decode() == text
