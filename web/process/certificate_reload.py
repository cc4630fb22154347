"""Loads the certificate into a TLS context, and again at each SIGHUP.

`server_ssl_context` makes the context; `Certificate` explains why files are unusable.
"""

import signal
import ssl
from pathlib import Path
from typing import NoReturn

import structlog
import trio
from msgspec import Struct

from web.config import Config
from web.server import HttpServer

_log = structlog.get_logger("trouper.server")

_TEXTS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "BAD_PASSWORD_READ": "the key is encrypted; provide it unencrypted",
}


class CertificateError(Exception):
    """An unusable certificate or key; the message is one line that says which and why."""


class Certificate(Struct, frozen=True):
    """The PEM files of a certificate with its chain, and of its key (None: the same file)."""

    chain: Path
    key: Path | None

    def context(self, *, http2: bool) -> ssl.SSLContext:
        """Read the files into a context for `ServerSettings.ssl_context`.

        Raises `CertificateError`. This blocks.
        """
        try:
            return server_ssl_context(self.chain, self.key, http2=http2)
        except OSError as error:  # also ssl.SSLError, which does not name the file
            raise CertificateError(self._why(error)) from error

    def _why(self, error: OSError) -> str:
        for path in filter(None, (self.chain, self.key)):
            try:
                path.read_bytes()
            except OSError as unreadable:
                return f"{path}: cannot be read: {unreadable.strerror}"
        both = f"{self.chain}" if self.key is None else f"{self.chain}, {self.key}"
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        return f"{both}: {_TEXTS.get(reason, f'no certificate with its key in PEM ({reason})')}"


def server_ssl_context(certificate: Path, key: Path | None, *, http2: bool) -> ssl.SSLContext:
    """Return a context for `ServerSettings.ssl_context`. Raises `OSError` or `ssl.SSLError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION  # RFC 9113 §9.2.1
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    context.load_cert_chain(certificate, key, password=_refuse_to_ask)
    return context


def _refuse_to_ask() -> NoReturn:
    raise OSError(0, "BAD_PASSWORD_READ")  # otherwise OpenSSL would ask on the terminal


def certificate_of(config: Config) -> Certificate | None:
    """Return the configured certificate's files; None without TLS."""
    if config.server.tls_cert is None:
        return None
    return Certificate(config.server.tls_cert, config.server.tls_key)


async def reload_on_sighup(
    config: Config,
    server: HttpServer,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload the certificate on each SIGHUP. A service task."""
    certificate = certificate_of(config)
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if certificate is None:
                _log.info("certificate reload skipped")
            else:
                await reload_certificate(certificate, server, http2=config.server.http2)


async def reload_certificate(certificate: Certificate, server: HttpServer, *, http2: bool) -> None:
    """Read the certificate again and use it; keep the old one if the new one is unusable."""
    try:
        context = await trio.to_thread.run_sync(lambda: certificate.context(http2=http2))
    except CertificateError as error:
        _log.error("certificate reload failed", error=str(error))
        return
    server.use_certificate(context)
    _log.info("certificate reloaded")
