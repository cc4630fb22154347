"""The Quart application class that everything of Trouper's edge is registered on."""

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

from web.body import BoundedRequest
from web.connection import TurnHTTPConnection
from web.websocket import TurnWebsocketConnection


class TrouperApp(QuartTrio):
    """Quart-Trio with our connection classes, no response timeout, and errors that get through.

    `max_body_bytes` bounds a request's body (413), `body_s` and `body_bytes_per_s` how long it
    may take (408): `body_s` seconds, and one more for each `body_bytes_per_s` received.
    """

    asgi_http_class = TurnHTTPConnection  # type: ignore[assignment]  # takes our app only
    asgi_websocket_class = TurnWebsocketConnection  # type: ignore[assignment]
    request_class = BoundedRequest

    def __init__(
        self,
        import_name: str,
        *,
        max_body_bytes: int = 20 * 1024 * 1024,
        body_s: float = 30.0,
        body_bytes_per_s: float = 8192.0,
    ) -> None:
        super().__init__(import_name, static_folder=None)
        # Where there is one slash too many is no route: a redirect would name another host.
        self.url_map.merge_slashes = False
        self.body_s = body_s
        self.body_bytes_per_s = body_bytes_per_s
        self.config["MAX_CONTENT_LENGTH"] = max_body_bytes
        self.config["BODY_TIMEOUT"] = None
        self.config["RESPONSE_TIMEOUT"] = None

    def create_url_adapter(self, request: BaseRequestWebsocket | None) -> MapAdapter | None:
        """Match by path and method alone: routes are the same for every host.

        Werkzeug's own way encodes the Host header as a domain name, and fails where it is none.
        """
        if request is None:
            return None
        return self.url_map.bind(
            "localhost",
            url_scheme=request.scheme,
            default_method=getattr(request, "method", "GET"),
            path_info=request.path,
        )

    async def handle_request(self, request: Request) -> Response | WerkzeugResponse:
        """Dispatch, and turn an error into a response, unless it came with a cancellation.

        Then the whole group goes up: the scope takes its `Cancelled`, the server logs the rest.
        Quart-Trio keeps the `Cancelled` and drops the error.
        """
        async with self.request_context(request) as context:
            try:
                return await self.full_dispatch_request(context)
            except Exception as error:
                return await self.handle_exception(error)

    async def handle_websocket(self, websocket: Websocket) -> Response | WerkzeugResponse | None:
        """The same for a WebSocket: a response before it is accepted, or after a crash."""
        async with self.websocket_context(websocket) as context:
            try:
                return await self.full_dispatch_websocket(context)
            except Exception as error:
                return await self.handle_websocket_exception(error)

    async def handle_user_exception(
        self, error: BaseException
    ) -> HTTPException | ResponseReturnValue:
        """Find the handler of an error, also inside groups of one.

        A group of several has no handler: one of them would be answered and the rest forgotten.
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
