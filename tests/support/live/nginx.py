"""Runs nginx as a reverse proxy, without buffering and with upstream keep-alive."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.live.prerequisites import require

START_TIMEOUT_S = 10
_CONFIG = """
daemon off;
worker_processes 1;
pid {here}/nginx.pid;
events {{ }}
http {{
  access_log off;
  client_body_temp_path {here}/body;
  proxy_temp_path {here}/proxy;
  fastcgi_temp_path {here}/fastcgi;
  uwsgi_temp_path {here}/uwsgi;
  scgi_temp_path {here}/scgi;
  upstream trouper {{ server 127.0.0.1:{upstream}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://trouper;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
      proxy_buffering off;
      proxy_read_timeout 1h;
    }}
  }}
}}
"""


class Nginx:
    """A running nginx proxy and its address."""

    host = "127.0.0.1"

    def __init__(self, port: int, master: int) -> None:
        self.port = port
        self._master = master

    @property
    def pids(self) -> list[int]:
        """Process ids of the master and its worker."""
        children = Path(f"/proc/{self._master}/task/{self._master}/children").read_text()
        return [self._master, *map(int, children.split())]


@contextmanager
def nginx(directory: Path, upstream: int) -> Iterator[Nginx]:
    """Run nginx in front of the port `upstream`; skip the test if it is not installed."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    require(program is not None, "nginx is missing: install nginx-light")
    assert program is not None
    port = _free_port()
    config = directory / "nginx.conf"
    config.write_text(_CONFIG.format(here=directory, upstream=upstream, port=port))
    log = directory / "nginx.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [program, "-p", str(directory), "-c", str(config), "-e", "stderr"],
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
        )
    try:
        _await_port(port, process, log)
        yield Nginx(port, process.pid)
    finally:
        process.terminate()
        process.wait(START_TIMEOUT_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


def _await_port(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
