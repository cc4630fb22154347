"""Applies httpx timeouts of a request. The deadlines of a turn are set by its caller instead."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import httpx
import trio


def seconds(request: httpx.Request, kind: str) -> float | None:
    """Return the request's timeout for `connect`, `read` or `write`, or None if it has none."""
    timeout: dict[str, float | None] = request.extensions.get("timeout", {})
    return timeout.get(kind)


def deadline(
    request: httpx.Request, kind: str, failure: type[httpx.TimeoutException]
) -> AbstractContextManager[None]:
    """Limit a block to the request's timeout of that kind, if any."""
    limit = seconds(request, kind)
    return nullcontext() if limit is None else fail_after(limit, failure)


@contextmanager
def fail_after(limit: float, failure: type[httpx.TimeoutException]) -> Iterator[None]:
    """Limit a block to `limit` seconds; raise `failure` if it takes longer."""
    with trio.move_on_after(limit) as scope:
        yield
    if scope.cancelled_caught:
        raise failure(f"no progress for {limit:g} s")
