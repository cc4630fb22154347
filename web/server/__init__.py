"""HTTP server built on hypercorn's protocol classes, run inside the nursery of `main`.

- `server`: accepts connections and drains; `connection` serves one of them
- `protocols`: adapters of hypercorn's protocols
- `tasks`, `receive_queue`: the requests of a connection, and what each receives
- `receive_budget`: limit on the bytes that all connections together are receiving
- `writer`, `stream`, `dead_peer`: write to a socket and detect vanished peers
- `settings`, `counters`, `request_id`: configuration, metrics, and ids of requests

Imports `actors.runtime` and `store.records.ids`. It serves any ASGI app: turns and Quart belong in
`web.http` and `web.turns`.
"""

from web.server.counters import Counters as Counters
from web.server.server import HttpServer as HttpServer
from web.server.settings import ServerSettings as ServerSettings
