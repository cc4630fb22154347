"""The client of `docs/how-to/resume.md` reads a whole answer over a line that keeps breaking."""

import re
import sys
from functools import partial
from pathlib import Path

import trio

from tests.live import harness

PAGE = harness.ROOT / "docs" / "how-to" / "resume.md"
LINGER = """
[turns]
mode = "linger"
resume_window_s = 10
[models.sim]
routes = ["up/sim:tokens=60,delay=5ms"]
"""
CUT_AFTER = 3000
"""Bytes of an answer after which the line breaks."""


class BreakingLine:
    """A proxy in front of the server that cuts each connection after a while."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.cuts = 0

    async def carry(self, client: trio.SocketStream) -> None:
        server = await trio.open_tcp_stream("127.0.0.1", self._port)
        async with client, server, trio.open_nursery() as nursery:
            nursery.start_soon(self._upwards, client, server)
            await self._downwards(server, client)
            nursery.cancel_scope.cancel()

    async def _upwards(self, client: trio.SocketStream, server: trio.SocketStream) -> None:
        async for data in client:
            await server.send_all(data)

    async def _downwards(self, server: trio.SocketStream, client: trio.SocketStream) -> None:
        left = CUT_AFTER
        async for data in server:
            await client.send_all(data[:left])
            left -= len(data)
            if left <= 0:
                self.cuts += 1
                return


async def test_the_client_in_few_lines_reads_on(tmp_path: Path, upstream: harness.Process) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    config = harness.write_config(tmp_path, upstream.port, LINGER)
    with harness.serving(tmp_path, config) as server:
        line = BreakingLine(server.port)
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(
                partial(trio.serve_tcp, line.carry, 0, host="127.0.0.1")
            )
            port = listeners[0].socket.getsockname()[1]
            with trio.fail_after(30):
                ran = await trio.run_process(
                    [sys.executable, "-c", example],
                    env={"TROUPER": f"http://127.0.0.1:{port}"},
                    capture_stdout=True,
                )
            nursery.cancel_scope.cancel()
        ((said,),) = server.rows("SELECT text FROM messages WHERE role = 'assistant'")
    assert line.cuts >= 3
    assert ran.stdout.decode() == said
