"""Errors for clients: the exception that carries one, and constructors for the common ones."""

from actors.turn.outcome import ErrorInfo


class ApiError(Exception):
    """An error response to a request; can be raised before the first byte of the response."""

    def __init__(self, info: ErrorInfo, headers: dict[str, str] | None = None) -> None:
        super().__init__(info.message)
        self.info = info
        self.headers = headers


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> ApiError:
    """Return a 400: the request is invalid, at the path `param`. Or return another 4xx."""
    kind = "invalid_request_error"
    return ApiError(ErrorInfo(status=status, message=message, type=kind, code=code, param=param))


def not_found(message: str, *, code: str, param: str | None = None) -> ApiError:
    """Return a 404. It must not differ between unknown objects and those of another tenant."""
    return invalid(message, param=param, code=code, status=404)


def unavailable(message: str, *, code: str, retry_after_s: float) -> ApiError:
    """Return a 503 with a time to retry after."""
    return ApiError(
        ErrorInfo(
            status=503,
            message=message,
            type="server_error",
            code=code,
            retry_after_s=retry_after_s,
        )
    )


def store_unavailable(problem: str = "The store is unavailable.") -> ApiError:
    """Return a 503: the database is not available, or lacks something that will be there soon."""
    text = f"{problem} Try again later."
    return unavailable(text, code="store_unavailable", retry_after_s=2.0)
