"""Checks the turns that a relay stored against the traffic that clients and upstream saw."""

import time
from collections.abc import Iterator
from typing import Self, TypeVar

import httpx
from msgspec import DecodeError, Struct, json

from bench.plan import Sample
from bench.spec import text, token

T = TypeVar("T")
_LIVE = ("queued", "in_progress")
_PATIENCE_S = 5.0
_PAGE = 100


class Usage(Struct):
    """Token usage of a turn."""

    output_tokens: int
    estimated: bool


class Turn(Struct):
    """A turn as `GET /v1/turns/{id}` returns it."""

    id: str
    status: str
    reason: str | None = None
    text: str | None = None
    usage: Usage | None = None


class Page(Struct):
    """A page of `GET /v1/turns`."""

    data: list[Turn]
    next: str | None = None


class JournalUnreadable(Exception):
    """The relay's turns cannot be read, or are not in the documented format."""


class Journal:
    """The turns of one running relay."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=10, trust_env=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def problems(self, samples: list[Sample]) -> list[str]:
        """Return the problems after a load: live turns, and turns that differ from a sample."""
        wrong = [f"journal: a turn is still {status}" for status in _LIVE if self._any(status)]
        for sample in samples:
            turn = _decode(self._get(f"/v1/turns/{sample.turn_id}"), Turn)
            if problem := compare(turn, sample):
                wrong.append(f"journal: turn {sample.turn_id}: {problem}")
        return wrong

    def count_problems(self, requests: int) -> list[str]:
        """Return the problems of all turns: live ones, or a count other than `requests`."""
        turns = list(self._all())
        live = sum(turn.status in _LIVE for turn in turns)
        wrong = [f"journal: {live} turns are not terminal"] if live else []
        if len(turns) != requests:
            wrong.append(f"journal: {len(turns)} turns for {requests} requests")
        return wrong

    def _any(self, status: str) -> bool:
        deadline = time.monotonic() + _PATIENCE_S
        while self._page(status=status, limit=1).data:
            if time.monotonic() > deadline:
                return True
            time.sleep(0.1)
        return False

    def _all(self) -> Iterator[Turn]:
        page = self._page(limit=_PAGE)
        yield from page.data
        while page.next:
            page = self._page(limit=_PAGE, cursor=page.next)
            yield from page.data

    def _page(self, **query: str | int) -> Page:
        return _decode(self._get("/v1/turns", **query), Page)

    def _get(self, path: str, **query: str | int) -> bytes:
        try:
            return self._client.get(path, params=query).raise_for_status().content
        except httpx.HTTPError as error:
            raise JournalUnreadable(f"journal: {error}") from error


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return json.decode(body, type=kind)
    except DecodeError as error:
        raise JournalUnreadable(f"journal: {error}: {body[:200]!r}") from error


def compare(turn: Turn, sample: Sample) -> str | None:
    """Return how a turn differs from the sample, or None if it does not."""
    return _whole(turn, sample) if sample.whole else _left(turn, sample)


def _whole(turn: Turn, sample: Sample) -> str | None:
    spec = sample.spec
    if (turn.status, turn.reason) != ("completed", "stop"):
        return f"{turn.status} / {turn.reason} instead of completed / stop"
    if turn.text != text(spec.seed, spec.chunks).decode():
        return "its text differs from what was sent"
    if turn.usage is None or turn.usage.estimated or turn.usage.output_tokens != spec.chunks:
        return f"usage {turn.usage} instead of {spec.chunks} tokens"
    return None


def _left(turn: Turn, sample: Sample) -> str | None:
    if (turn.status, turn.reason) != ("incomplete", "client_disconnected"):
        return f"{turn.status} / {turn.reason} instead of incomplete / client_disconnected"
    kept = turn.text or ""
    sent = "".join(token(sample.spec.seed, number) for number in range(sample.sent or 0))
    if not sent.startswith(kept):
        return "its text is not a prefix of what was sent"
    if len(kept) < sample.received:
        return f"{len(kept)} characters stored, but the client received {sample.received}"
    return None
