"""Task group of one connection: its requests, and the connection's own tasks."""

import traceback
from collections.abc import Awaitable, Callable
from typing import cast

import structlog
import trio
from hypercorn.config import Config
from hypercorn.typing import (
    AppWrapper,
    ASGIFramework,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    Scope,
)
from msgspec import Struct

from web.server.receive_queue import RECEIVE_QUEUE, ReceiveQueue
from web.server.settings import LEAVING, Context

AppSend = Callable[[ASGISendEvent | None], Awaitable[None]]

_log = structlog.stdlib.get_logger("trouper.http")


class Tasks(Struct, frozen=True):
    """hypercorn's `TaskGroup` for one connection, on two nurseries of that connection.

    `requests` outlives the connection until its requests have cleaned up. `machinery` (the
    reader, pings, HTTP/2's sender) is cancelled with the connection.
    """

    requests: trio.Nursery
    machinery: trio.Nursery
    context: Context

    async def spawn_app(
        self, app: AppWrapper, config: Config, scope: Scope, send: AppSend
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Start a request and return the function that queues its ASGI messages."""
        queue = ReceiveQueue(self.context.receive_budget)
        extensions = cast("dict[str, dict[str, object]]", scope)["extensions"]
        extensions[RECEIVE_QUEUE] = queue
        if scope["type"] == "websocket":
            extensions[LEAVING] = self.context.leaving
        self.requests.start_soon(self._run, cast("ASGIFramework", app), scope, queue, send)
        return queue.put

    def spawn(self, func: Callable[..., Awaitable[None]], *args: object) -> None:
        """Start a task that is cancelled with the connection; do nothing if that has ended.

        An app may accept a WebSocket whose client has just left.
        """
        if not self.machinery.cancel_scope.cancel_called:
            self.machinery.start_soon(func, *args)

    async def _run(
        self, app: ASGIFramework, scope: Scope, queue: ReceiveQueue, send: AppSend
    ) -> None:
        """Run the app; an error that it lets through affects only this request.

        The final `send(None)` then answers 500 if nothing was sent yet, or else closes the
        connection.
        """
        try:
            await app(scope, queue.get, cast("ASGISendCallable", send))
        except BaseException as error:  # noqa: ASYNC103 (the Cancelled in it is raised below)
            cancelled, real = split_cancelled(error)
            if real is not None:
                self.context.counters.requests_crashed += 1
                _log.error("request failed", path=scope.get("path"), exc_info=real)
            if cancelled is not None:
                raise cancelled from None  # noqa: ASYNC104 (the rest was logged)
        finally:
            queue.close()
        await send(None)


def split_cancelled(
    error: BaseException,
) -> tuple[BaseException | None, Exception | None]:
    """Split an error into the part to raise (cancellation, interrupts) and the real errors."""
    if isinstance(error, Exception):
        return None, error
    if isinstance(error, BaseExceptionGroup):
        real, rest = error.split(Exception)
        return rest, cast("Exception | None", real)
    return error, None


def in_one_line(error: BaseException) -> str:
    """Return the error and its location; for a group, those of each error."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(in_one_line(inner) for inner in error.exceptions)
    frames = traceback.extract_tb(error.__traceback__)
    location = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{error!r}{location}"
