"""Derives the HTTP server's settings from the configuration."""

from web.config import Config
from web.process.certificate_reload import tls_context
from web.server import ServerSettings


def server_settings(config: Config) -> ServerSettings:
    """Return the server's settings. Raises `StartupRefused`.

    Blocks, because it reads the certificate.
    """
    return ServerSettings(
        http2=config.server.http2,
        ssl_context=tls_context(config.server),
        keep_alive_s=config.server.keep_alive_s,
        header_s=config.server.header_s,
        write_stall_s=config.limits.write_stall_s,
        max_connections=config.limits.connections,
        websocket_message_bytes=config.limits.body_bytes,
        websocket_ping_s=config.turns.heartbeat_s,
    )
