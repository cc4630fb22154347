"""Quart application class with Trouper's connection classes and error handling."""

import re
from collections.abc import Sequence

import trio
from quart import Request, Response
from quart.typing import ResponseReturnValue
from quart.wrappers import Websocket
from quart.wrappers.base import BaseRequestWebsocket
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter
from werkzeug.wrappers import Response as WerkzeugResponse

from web.http.body import BoundedRequest
from web.http.connection import TurnHTTPConnection
from web.http.websocket import TurnWebsocketConnection
from web.server.receive_budget import BYTES_PER_S

_VERSION = "v1"
_MAX_PARTS = 8
"""Parts of an unknown path, counted from its end, that are compared with known ones."""
_VARIABLE = re.compile(r"<(?:\w+:)?(\w+)>")


class TrouperApp(QuartTrio):
    """A Quart-Trio app with our connection classes, no response timeout, and no lost errors.

    `max_body_bytes` limits the size of a request's body (413). The body may take `body_s`
    seconds, plus one for each `body_bytes_per_s` bytes received, up to a maximum (408).
    """

    asgi_http_class = TurnHTTPConnection
    asgi_websocket_class = TurnWebsocketConnection
    request_class = BoundedRequest

    def __init__(
        self,
        import_name: str,
        *,
        max_body_bytes: int = 20 * 1024 * 1024,
        body_s: float = 30.0,
        body_bytes_per_s: float = BYTES_PER_S,
    ) -> None:
        super().__init__(import_name, static_folder=None)
        # A path with a double slash is a 404. Werkzeug would redirect, and because the adapter is
        # bound to "localhost", the redirect would name the wrong host.
        self.url_map.merge_slashes = False
        self.config["BODY_S"] = body_s
        self.config["BODY_BYTES_PER_S"] = body_bytes_per_s
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes
        self.config["BODY_TIMEOUT"] = None
        self.config["RESPONSE_TIMEOUT"] = None

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Match by path and method only: routes are the same for every host.

        Werkzeug would encode the Host header as a domain name, and fail if it is not one.
        """
        if request is None:
            return None
        return self.url_map.bind(
            "localhost",
            url_scheme=request.scheme,
            default_method=getattr(request, "method", "GET"),
            path_info=request.path,
        )

    def similar_path(self, path: str) -> str | None:
        """Return the known path that an unknown one ends with, or None.

        The base URL of a client may lack `/v1`, have it twice, or have another prefix.
        """
        adapter = self.url_map.bind("localhost")
        parts = [part for part in path.split("/") if part][-_MAX_PARTS:]
        for start, part in enumerate(parts):
            below = parts[start + (part == _VERSION) :]
            candidate = "/".join(("", _VERSION, *below))
            for method in adapter.allowed_methods(candidate):
                if adapter.test(candidate, method):  # false for GET of a WebSocket
                    rule, _ = adapter.match(candidate, method, return_rule=True)
                    return _VARIABLE.sub(r"{\1}", rule.rule)
        return None

    async def handle_request(self, request: Request) -> Response | WerkzeugResponse:
        """Dispatch the request and convert errors to responses.

        A group of errors and `Cancelled` propagates whole: the scope absorbs the `Cancelled`, and
        the server logs the rest. Quart-Trio would drop the errors.
        """
        async with self.request_context(request) as context:
            try:
                return await self.full_dispatch_request(context)
            except Exception as error:
                return await self.handle_exception(error)

    async def handle_websocket(self, websocket: Websocket) -> Response | WerkzeugResponse | None:
        """Dispatch a WebSocket; return a response if it was rejected or its handler crashed."""
        async with self.websocket_context(websocket) as context:
            try:
                return await self.full_dispatch_websocket(context)
            except Exception as error:
                return await self.handle_websocket_exception(error)

    async def handle_user_exception(
        self, error: BaseException
    ) -> HTTPException | ResponseReturnValue:
        """Call the handler for an error, also for a single error wrapped in groups.

        A group of several errors has no handler: one would be handled and the others lost.
        """
        lone = _unwrap(error)
        if isinstance(lone, BaseExceptionGroup) or not isinstance(lone, Exception):
            raise error
        return await super().handle_user_exception(lone)


def _unwrap(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        inner: Sequence[BaseException] = error.exceptions
        if len(inner) != 1 or isinstance(inner[0], trio.Cancelled):
            return error
        error = inner[0]
    return error
