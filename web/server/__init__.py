"""HTTP server built on hypercorn's protocol classes, run inside the nursery of `main`.

`server` accepts connections, `connection` serves one of them, `http1`, `http2` and `websocket`
adapt hypercorn's protocols, `app_stream` and `tasks` run the app, `writer` and `stream` write.
"""

from web.server.counters import Counters
from web.server.server import HttpServer
from web.server.settings import ServerSettings
from web.server.sockets import BindError, bind_sockets

__all__ = [
    "BindError",
    "Counters",
    "HttpServer",
    "ServerSettings",
    "bind_sockets",
]
