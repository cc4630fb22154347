"""Builds the Quart application: registers all blueprints and the error handlers."""

from functools import partial

import structlog
from quart import Response, has_request_context, request
from werkzeug.exceptions import HTTPException

from actors.turn.outcome import ErrorInfo
from store.records.turn_records import StoreUnavailable
from web.auth.hook import check_origins
from web.auth.origins import OriginPolicy
from web.http.api_error import ApiError, store_unavailable
from web.http.error_format import add_request_id
from web.http.quart_app import TrouperApp
from web.http.responses import error_response
from web.service import Service

_log = structlog.get_logger("trouper.web")


def create_app(service: Service) -> TrouperApp:
    """Return the application that serves all surfaces of `service`."""
    config = service.config
    app = TrouperApp(
        "trouper", max_body_bytes=config.limits.body_bytes, body_s=config.server.body_s
    )
    pages = [path for surface in service.surfaces for path in surface.pages]
    check_origins(app, OriginPolicy(config.server.hosts, config.cors.origins, pages))
    for surface in service.surfaces:
        app.register_blueprint(surface.routes(service))
    app.register_error_handler(ApiError, _known_error)
    app.register_error_handler(StoreUnavailable, _known_error)
    app.register_error_handler(HTTPException, partial(_http_error, app))
    app.register_error_handler(Exception, _crash)
    app.after_request(add_request_id)
    return app


async def _known_error(error: ApiError | StoreUnavailable) -> Response:
    known = error if isinstance(error, ApiError) else store_unavailable()
    return error_response(known.info, known.headers)


async def _http_error(app: TrouperApp, error: HTTPException) -> Response:
    status = error.code or 500
    kind = "invalid_request_error" if status < 500 else "server_error"
    text = error.description or error.name
    if status == 404 and has_request_context() and (known := app.similar_path(request.path)):
        text = f"Not found. The path of this endpoint is {known}. Check the client's base URL."
    headers = {k: v for k, v in error.get_headers() if k == "Allow"}
    code = error.name.lower().replace(" ", "_")
    info = ErrorInfo(status=status, message=text, type=kind, code=code)
    return error_response(info, headers)


async def _crash(error: Exception) -> Response:
    _log.error("request crashed", exc_info=error)
    text = "Internal error while processing the request."
    info = ErrorInfo(status=500, message=text, type="server_error", code="internal")
    return error_response(info)
