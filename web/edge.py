"""Derives the HTTP server's settings from the configuration, and reloads its certificate."""

import signal

import structlog
import trio

from web.config import Config
from web.server import Certificate, CertificateError, HttpServer, ServerSettings
from web.startup import StartupRefused

_log = structlog.get_logger("trouper.server")


def certificate_of(config: Config) -> Certificate | None:
    """Return the configured certificate's files; None without TLS."""
    if config.server.tls_cert is None:
        return None
    return Certificate(config.server.tls_cert, config.server.tls_key)


def server_settings(config: Config) -> ServerSettings:
    """Return the server's settings. Raise `StartupRefused`.

    Blocks, because it reads the certificate.
    """
    certificate = certificate_of(config)
    try:
        tls = None if certificate is None else certificate.context(http2=config.server.http2)
    except CertificateError as error:
        raise StartupRefused(f"[server] tls_cert: {error}") from error
    return ServerSettings(
        http2=config.server.http2,
        ssl_context=tls,
        keep_alive_s=config.server.keep_alive_s,
        header_s=config.server.header_s,
        write_stall_s=config.limits.write_stall_s,
        max_connections=config.limits.connections,
        websocket_message_bytes=config.limits.body_bytes,
        websocket_ping_s=config.turns.heartbeat_s,
    )


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
