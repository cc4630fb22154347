"""Applies the origin checks to every request and WebSocket handshake of the Quart app."""

from quart import Response, after_this_request, request, websocket
from quart.typing import ResponseTypes
from quart_trio import QuartTrio

from web.auth.origins import OriginPolicy
from web.http.api_error import ApiError


def check_origins(app: QuartTrio, policy: OriginPolicy) -> None:
    """Let `policy` judge requests before they are dispatched and before their bodies are read.

    Quart calls these functions first for every path and method, also if no route matches. So a
    new route needs nothing, and an unknown one does not answer a foreign page with its 404.
    """

    @app.before_request
    async def check_request() -> Response | None:
        scope = request.scope
        tls = scope["scheme"] == "https"
        verdict = policy.judge(request.method, scope["path"], scope["headers"], tls=tls)

        async def add_headers(response: ResponseTypes) -> ResponseTypes:
            response.headers.update(verdict.headers)
            return response

        if verdict.headers:
            after_this_request(add_headers)
        if verdict.refusal is not None:
            raise ApiError(verdict.refusal)
        if not verdict.preflight:
            return None
        answer = Response("", status=204)
        answer.headers.clear()  # RFC 9110 §8.6: no Content-Length, which Quart sets
        return answer

    @app.before_websocket
    async def check_websocket() -> None:
        scope = websocket.scope
        tls = scope["scheme"] == "wss"
        verdict = policy.judge("GET", scope["path"], scope["headers"], tls=tls)
        if verdict.refusal is not None:
            raise ApiError(verdict.refusal)
