"""Settings of the HTTP server."""

import ssl

from msgspec import Struct


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Settings of listeners and connections; times in seconds, sizes in bytes."""

    http2: bool = False
    """Serve HTTP/2, by ALPN with TLS and by prior knowledge without; else it is answered 505."""
    ssl_context: ssl.SSLContext | None = None
    """TLS context for every listener, from `server_ssl_context`; None serves plain HTTP."""
    tls_handshake_s: float = 10.0
    keep_alive_s: float = 75.0
    """Maximum idle time of a connection, before the first request and between requests."""
    header_s: float = 10.0
    """Maximum time from the first byte of a request to the end of its head."""
    header_bytes: int = 32 * 1024
    """Maximum size of a request's head."""
    pipelined_bytes: int = 64 * 1024
    """Maximum amount of data that a client may send behind an unanswered request."""
    write_stall_s: float = 30.0
    """Time without progress of a write after which the connection is closed."""
    linger_s: float = 2.0
    """Time for which data is still read, and dropped, after the last response."""
    max_connections: int = 10_000
    """Maximum number of connections; further ones get 503 with `Retry-After`."""
    backlog: int = 4096
    """Length of the kernel's queue of connections that wait to be accepted."""
    websocket_message_bytes: int = 1024 * 1024
    """Maximum size of a WebSocket message."""
    websocket_ping_s: float = 30.0
    """Interval of WebSocket pings."""
    http2_streams: int = 100
    """Maximum number of open requests of an HTTP/2 connection."""

    @property
    def dead_peer_s(self) -> float:
        """Time without an acknowledgement after which a peer has vanished.

        Less than `write_stall_s`, because the check runs only every 1/30 of that.
        """
        return self.write_stall_s * 14 / 15
