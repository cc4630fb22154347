"""Our own HTTP server, on hypercorn's protocol classes, inside the nursery of our `main`."""

from web.server.counters import Counters
from web.server.server import HttpServer
from web.server.settings import ServerSettings
from web.server.sockets import BindError, bind_sockets
from web.server.tls import Certificate, CertificateError, server_ssl_context

__all__ = [
    "BindError",
    "Certificate",
    "CertificateError",
    "Counters",
    "HttpServer",
    "ServerSettings",
    "bind_sockets",
    "server_ssl_context",
]
