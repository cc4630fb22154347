"""Loads the certificate into a TLS context, and again at each SIGHUP."""

import signal
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import structlog
import trio

from web.config import Server
from web.process.startup import StartupRefused
from web.server import HttpServer

_log = structlog.get_logger("trouper.server")

_TEXTS = {
    "KEY_VALUES_MISMATCH": "the key does not belong to the certificate",
    "BAD_PASSWORD_READ": "the key is encrypted; provide it unencrypted",
}


def tls_context(settings: Server) -> ssl.SSLContext | None:
    """Read the certificate into a context for `ServerSettings.ssl_context`; None without one.

    Raises `StartupRefused`, which says in one line which file is unusable and why. Blocks.
    """
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION  # RFC 9113 §9.2.1
    context.set_alpn_protocols(["h2", "http/1.1"] if settings.http2 else ["http/1.1"])
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key, password=_refuse_to_ask)
    except OSError as error:  # also ssl.SSLError, which does not name the file
        files = [path for path in (settings.tls_cert, settings.tls_key) if path is not None]
        raise StartupRefused(f"[server] tls_cert: {_why(files, error)}") from error
    return context


def _refuse_to_ask() -> NoReturn:
    raise OSError(0, "BAD_PASSWORD_READ")  # otherwise OpenSSL would ask on the terminal


def _why(files: Sequence[Path], error: OSError) -> str:
    for path in files:
        try:
            path.read_bytes()
        except OSError as unreadable:
            return f"{path}: cannot be read: {unreadable.strerror}"
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    text = _TEXTS.get(reason, f"no certificate with its key in PEM ({reason})")
    return f"{', '.join(map(str, files))}: {text}"


async def reload_on_sighup(
    settings: Server,
    server: HttpServer,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Reload the certificate on each SIGHUP. A service task."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            await _reload(settings, server)


async def _reload(settings: Server, server: HttpServer) -> None:
    """Read the certificate again and use it; keep the old one if the new one is unusable."""
    try:
        context = await trio.to_thread.run_sync(tls_context, settings)
    except StartupRefused as error:
        _log.error("certificate reload failed", error=str(error))
        return
    if context is None:
        _log.info("certificate reload skipped")
        return
    server.ssl_context = context
    _log.info("certificate reloaded")
