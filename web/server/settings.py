"""What an operator may set about connections."""

import ssl

from msgspec import Struct


class ServerSettings(Struct, frozen=True, kw_only=True):
    """Limits of the connections; times in seconds, sizes in bytes."""

    http2: bool = False
    """Speak HTTP/2: by ALPN under TLS, by prior knowledge in clear. Else it is answered 505."""
    ssl_context: ssl.SSLContext | None = None
    """TLS for every listener; see `server_ssl_context`."""
    tls_handshake_s: float = 10.0
    keep_alive_s: float = 75.0
    """How long a connection may stand idle between requests, or before the first."""
    header_s: float = 10.0
    """From the first byte of a request to the end of its head."""
    header_bytes: int = 32 * 1024
    pipelined_bytes: int = 64 * 1024
    """What a client may send behind an unanswered request before it is cut off."""
    write_stall_s: float = 30.0
    """How long a write may go without progress before the connection is cut."""
    linger_s: float = 2.0
    """How long we still read, and drop, after a last response that the client may be ignoring."""
    max_connections: int = 10_000
    """Beyond it a connection is answered 503 with `Retry-After`."""
    backlog: int = 4096
    websocket_message_bytes: int = 1024 * 1024
    websocket_ping_s: float = 30.0
    http2_streams: int = 100
    """How many requests one HTTP/2 connection may have open."""

    @property
    def dead_peer_s(self) -> float:
        """How long a peer may answer nothing to the kernel: less, for seeing it takes a moment."""
        return self.write_stall_s * 14 / 15
