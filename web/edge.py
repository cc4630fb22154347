"""What the configuration means to the HTTP server, and its certificate while it runs."""

import signal

import structlog
import trio

from web.config import Config
from web.server import Certificate, CertificateError, HttpServer, ServerSettings
from web.startup import StartupRefused

_log = structlog.get_logger("trouper.server")


def certificate_of(config: Config) -> Certificate | None:
    """Where the certificate lies; None without TLS."""
    if config.server.tls_cert is None:
        return None
    return Certificate(config.server.tls_cert, config.server.tls_key)


def server_settings(config: Config) -> ServerSettings:
    """The server's settings, certificate read. Blocks. Raises `StartupRefused`."""
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


async def renew_on_hangup(
    config: Config,
    server: HttpServer,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The service task: SIGHUP has the certificate read again."""
    certificate = certificate_of(config)
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        task_status.started()
        async for _ in signals:
            if certificate is None:
                _log.info("nothing to read again: there is no certificate")
            else:
                await renew(certificate, server, http2=config.server.http2)


async def renew(certificate: Certificate, server: HttpServer, *, http2: bool) -> None:
    """Use the certificate that lies there now; one that is no good changes nothing."""
    try:
        context = await trio.to_thread.run_sync(lambda: certificate.context(http2=http2))
    except CertificateError as error:
        _log.error("the old certificate stays in use", error=str(error))
        return
    server.use_certificate(context)
    _log.info("certificate renewed")
