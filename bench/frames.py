"""Responses of the mock upstream: OpenAI chat frames that are encoded once and sent often."""

import msgspec

from bench.spec import Spec, text, token

STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
    b"cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n"
)
_CREATED = 1_700_000_000
_BLOCK = 64


def http_chunk(data: bytes) -> bytes:
    """Encode `data` as one chunk of the chunked transfer coding (RFC 9112, section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def http_answer(body: bytes, status: str = "200 OK") -> bytes:
    """Return a complete HTTP response with a JSON body."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def _event(choices: list[dict[str, object]], **more: object) -> bytes:
    payload = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": _CREATED,
        "model": "bench",
        "choices": choices,
        **more,
    }
    return b"data: " + msgspec.json.encode(payload) + b"\n\n"


def _delta(delta: dict[str, str], finish: str | None = None) -> bytes:
    return http_chunk(_event([{"index": 0, "delta": delta, "finish_reason": finish}]))


def _usage(chunks: int) -> dict[str, int]:
    return {"prompt_tokens": 8, "completion_tokens": chunks, "total_tokens": chunks + 8}


def role() -> bytes:
    """Return the frame before the first token."""
    return _delta({"role": "assistant", "content": ""})


def tail(chunks: int) -> bytes:
    """Return the bytes after the last token: finish reason, usage, `[DONE]`, end of body."""
    usage = http_chunk(_event([], usage=_usage(chunks)))
    return _delta({}, "stop") + usage + http_chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def whole(spec: Spec) -> bytes:
    """Return the response to a request that does not stream, with its HTTP head."""
    message = {"role": "assistant", "content": text(spec.seed, spec.chunks).decode()}
    body = {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": _CREATED,
        "model": "bench",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": _usage(spec.chunks),
    }
    return http_answer(msgspec.json.encode(body))


class Frames:
    """A cache of the frames of every text."""

    def __init__(self) -> None:
        self._texts: dict[int, list[bytes]] = {}
        self._blocks: dict[tuple[int, int, int], bytes] = {}

    def tokens(self, seed: int, start: int, stop: int) -> bytes:
        """Return the frames `start` … `stop - 1` of a text."""
        frames = self._texts.setdefault(seed, [])
        while len(frames) < stop:
            frames.append(_delta({"content": token(seed, len(frames))}))
        return frames[start] if stop - start == 1 else b"".join(frames[start:stop])

    def block(self, seed: int, start: int, chunks: int) -> tuple[bytes, int]:
        """Return up to 64 frames from `start`, and the number of the frame after them.

        For streams without pauses, which would otherwise cost one write per token.
        """
        stop = min(start + _BLOCK, chunks)
        key = (seed, start, stop)
        if key not in self._blocks:
            self._blocks[key] = self.tokens(seed, start, stop)
        return self._blocks[key], stop
