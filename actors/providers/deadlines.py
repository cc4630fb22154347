"""httpx's timeouts, honoured where a request sets them; a turn's deadlines are its caller's."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import httpx
import trio


def seconds(request: httpx.Request, kind: str) -> float | None:
    """The request's timeout for `connect`, `read` or `write`; None where there is none."""
    timeout: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeout.get(kind)


def deadline(
    request: httpx.Request, kind: str, failure: type[httpx.TimeoutException]
) -> AbstractContextManager[None]:
    """Bounds a block by the request's timeout of that kind, if it has one."""
    limit = seconds(request, kind)
    return nullcontext() if limit is None else fail_after(limit, failure)


@contextmanager
def fail_after(limit: float, failure: type[httpx.TimeoutException]) -> Iterator[None]:
    """Bounds a block by `limit` seconds; raises `failure` where it takes longer."""
    with trio.move_on_after(limit) as scope:
        yield
    if scope.cancelled_caught:
        raise failure(f"nothing for {limit:g} s")
