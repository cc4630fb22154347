"""HTTPS with a private certificate authority: HTTP/1.1, HTTP/2 and certificate renewal."""

import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trustme

from tests.support.live.harness import Process, Server, serving, until, write_config
from tests.support.live.http_client import QUESTION

AUTHORITY = trustme.CA()
TLS = 'grace_s = 0\nhttp2 = true\ntls_cert = "{0}/cert.pem"\ntls_key = "{0}/key.pem"\n'
CHAT = {"model": "up/v:delay=5ms,tokens=20", "messages": QUESTION, "stream": True}


def issue(directory: Path) -> bytes:
    """Write a new certificate and its key; return the certificate in DER."""
    issued = AUTHORITY.issue_cert("127.0.0.1")
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (directory / "cert.pem").write_bytes(chain)
    (directory / "key.pem").write_bytes(issued.private_key_pem.bytes())
    return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())


def client_context() -> ssl.SSLContext:
    """Return a client context that trusts only the test authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    AUTHORITY.configure_trust(context)
    return context


def served_certificate(server: Server) -> bytes:
    """Return the certificate that a new connection gets, in DER."""
    with (
        socket.create_connection(("127.0.0.1", server.port), timeout=5) as plain,
        client_context().wrap_socket(plain, server_hostname="127.0.0.1") as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


@pytest.fixture
def secure(tmp_path: Path, upstream: Process) -> Iterator[Server]:
    """Run a server with TLS whose certificate is in `tmp_path`."""
    issue(tmp_path)
    config = write_config(tmp_path, upstream.port, TLS.format(tmp_path))
    with serving(tmp_path, config) as server:
        yield server


@pytest.mark.parametrize("http2", [False, True], ids=["HTTP/1.1", "HTTP/2"])
async def test_a_turn_streams_over_https(secure: Server, http2: bool) -> None:
    base = f"https://127.0.0.1:{secure.port}"
    async with httpx.AsyncClient(http2=http2, verify=client_context(), base_url=base) as client:
        for _ in range(3):
            async with client.stream("POST", "/v1/chat/completions", json=CHAT) as response:
                body = await response.aread()
            assert response.status_code == 200
            assert response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
            assert response.headers["x-request-id"].startswith("req_")
            assert response.headers["x-content-type-options"] == "nosniff"
            assert body.endswith(b"data: [DONE]\n\n")


async def test_disconnect_over_https_is_detected(secure: Server) -> None:
    base = f"https://127.0.0.1:{secure.port}"
    long = {**CHAT, "model": "up/v:delay=20ms,tokens=5000"}
    for http2 in (False, True):
        start_and_disconnect(base, long, http2=http2)

    async def ended() -> list[dict[str, object]]:
        lines = secure.logged("turn ended")
        return lines if len(lines) == 2 else []

    reasons = [line["reason"] for line in await until(ended)]
    assert reasons == ["client_disconnected"] * 2


def start_and_disconnect(base: str, ask: dict[str, object], *, http2: bool) -> None:
    """Read the beginning of a stream and close the connection."""
    with (
        httpx.Client(http2=http2, verify=client_context(), base_url=base) as client,
        client.stream("POST", "/v1/chat/completions", json=ask) as response,
    ):
        assert next(response.iter_bytes())


async def test_sighup_loads_a_new_certificate_but_not_a_broken_one(
    secure: Server, tmp_path: Path
) -> None:
    before = served_certificate(secure)
    base = f"https://127.0.0.1:{secure.port}"
    async with httpx.AsyncClient(verify=client_context(), base_url=base) as old:
        assert (await old.get("/health")).status_code == 200
        renewed = issue(tmp_path)
        assert served_certificate(secure) == before != renewed
        secure.signal(signal.SIGHUP)
        await until(lambda: has_logged(secure, "certificate reloaded"))
        assert served_certificate(secure) == renewed
        assert (await old.get("/health")).status_code == 200, "open connections stay usable"

        (tmp_path / "key.pem").write_text("no key")
        secure.signal(signal.SIGHUP)
        await until(lambda: has_logged(secure, "certificate reload failed"))
        assert served_certificate(secure) == renewed
    (line,) = secure.logged("certificate reload failed")
    assert "key.pem" in str(line["error"])


async def has_logged(server: Server, event: str) -> bool:
    """Return True if the log has a line of this event."""
    return bool(server.logged(event))


async def test_supervised_server_renews_the_certificate_by_replacing_processes(
    tmp_path: Path, upstream: Process
) -> None:
    before = issue(tmp_path)
    config = write_config(tmp_path, upstream.port, TLS.format(tmp_path))
    with serving(tmp_path, config, options=["--supervise", "1"]) as server:
        await until(lambda: has_logged(server, "process ready"))
        assert served_certificate(server) == before
        renewed = issue(tmp_path)
        server.signal(signal.SIGHUP)
        await until(lambda: has_logged(server, "reload finished"), 30)
        await until(lambda: has_logged(server, "drain started"), 30)
        assert served_certificate(server) == renewed
