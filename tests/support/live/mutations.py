"""Makes malformed HTTP/1.1, HTTP/2 and WebSocket input out of valid input, from a seed."""

import json
import random
from collections.abc import Callable

from hpack import Encoder
from hyperframe import frame as h2

from tests.support.live.http_client import QUESTION

CHAT = json.dumps({"model": "sim:tokens=2,delay=0", "messages": QUESTION}).encode()
HEAD = b"Host: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\nA: b\r\n\r\n" % (len(CHAT), CHAT)
WEBSOCKET = (
    b"GET /v1/responses HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

REQUESTS = [
    b"GET /health HTTP/1.1\r\n%b\r\n" % HEAD,
    b"HEAD /v1/models HTTP/1.1\r\n%b\r\n" % HEAD,
    b"OPTIONS * HTTP/1.1\r\n%b\r\n" % HEAD,
    b"GET http://t/v1/turns?limit=5&cursor=%%41 HTTP/1.1\r\n%b\r\n" % HEAD,
    b"GET /v1/turns/turn_1/events HTTP/1.1\r\nLast-Event-ID: openai-chat:1\r\n%b\r\n" % HEAD,
    b"DELETE /v1/responses/resp_1 HTTP/1.1\r\n%b\r\n" % HEAD,
    b"POST /v1/routes/a/b/reset HTTP/1.1\r\n%b\r\n" % HEAD,
    b"GET /health HTTP/1.0\r\n\r\nGET /ready HTTP/1.1\r\n%b\r\n" % HEAD,
    b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n" * 2,
    b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b"
    % (HEAD, len(CHAT), CHAT),
    b"POST /v1/responses HTTP/1.1\r\n%bTransfer-Encoding: chunked\r\n\r\n%b" % (HEAD, CHUNKS),
    b"POST /v1/messages HTTP/1.1\r\n%bExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}" % HEAD,
    WEBSOCKET,
]
TOKENS = [
    *(b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n ", b"\r\n\r\n", b"\0", b"\x1b[2J", b"\x7f", b"\t"),
    *(b" ", b":", b";", b",", b"/", b"//", b"?", b"#", b"*", b"@", b"[", b"%", b"%00", b"%0a%1b"),
    *(b"%zz", b"%ff", b"\xff", b"\xc2\x9b", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\\", b'"', b"<"),
    *(b"..", b"-1", b"+5", b"0x5", b"9" * 30, b"1e9", b"HTTP/1.0", b"HTTP/2.0", b"http://["),
    *(b"head", b"CONNECT", b"PRI * HTTP/2.0\r\n\r\n", b"Host: u\r\n", b"Content-Length: 5\r\n"),
    *(b"Content-Length: 5, 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Expect: x\r\n"),
    *(b"Transfer-Encoding: xchunked\r\n", b"Connection: upgrade, \xff\r\n", b"Upgrade: h2c\r\n"),
    *(b"Upgrade: websocket\r\n", b"Sec-WebSocket-Protocol: \xff\r\n", b"Origin: null\r\n"),
    *(b"Sec-WebSocket-Extensions: permessage-deflate\r\n", b"Content-Encoding: gzip\r\n"),
    *(b"X-Request-Id: \x80\r\n", b"Cookie: a=\xff;=\r\n", b"Authorization: Basic \xff\r\n"),
    *(b"Accept: */*;q=nan\r\n", b"Range: bytes=5-1\r\n", b"If-None-Match: W/\r\n"),
    *(b"A: " + b"x" * 3000 + b"\r\n", b"5;a=b\rc\r\n", b"ffffffffffffffffff\r\n", b"0\r\n\r\n"),
]


def mutate(rng: random.Random, data: bytes, tokens: list[bytes] = TOKENS) -> bytes:
    """Apply one to four random changes to `data`."""
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        at, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
        if rng.random() < 0.5:
            end = min(len(data), at + rng.randrange(4))
        part = data[at:end]
        change = rng.randrange(7)
        if change <= 2:
            part = rng.choice(tokens) + part
        elif change == 3:
            part = rng.choice(tokens)
        elif change == 4:
            part = rng.randbytes(len(part[:8]) or 1) + part[8:]
        elif change == 5:
            part = part * 2 if len(data) < 20_000 else b""
        else:
            part = part.swapcase() if rng.random() < 0.5 else b""
        data = data[:at] + part + data[end:]
    return data


def http1(rng: random.Random) -> bytes:
    """Return a mutated request, or a few of them."""
    return mutate(rng, rng.choice(REQUESTS))


Field = tuple[bytes, bytes]

PATHS = [b"/v1/chat/completions", b"/health", b"/v1/models", b"/v1/turns?limit=1", b"/no"]
TARGETS = [b"*", b"?q", b"health", b"http://u/health", b"//", b"/%00%1b", b"/\xff", b"/ ", b"/\x1b"]
METHODS = [b"HEAD", b"OPTIONS", b"PUT", b"DELETE", b"CONNECT", b"head", b"BREW", b"\xff", b""]
HOSTS = [b"", b"t:1", b"u@t", b"[", b"[::1]", b"\xff", b"a/b", b"a b", b"t:x", b"\x1b"]
HTTP2_TOKENS = [b"\0", b"\xff", b"\x01", b"\0\0\0\4\0\0\0\0\0", b"\0\0\4\3\0\0\0\0\1"]
FIELDS: list[Field] = [
    *((b"a", b"\x1b"), (b"a", b"\xff"), (b"remote-addr", b"x"), (b"accept", b"*/*;q=nan")),
    *((b"range", b"bytes=5-1"), (b"origin", b"null"), (b"authorization", b"Basic \xff")),
    *((b":path", b"/"), (b":status", b"200"), (b":protocol", b"websocket"), (b"host", b"u")),
    *((b"connection", b"close"), (b"te", b"gzip"), (b"transfer-encoding", b"chunked")),
    *((b"content-length", b"+5"), (b"content-length", b"5"), (b"content-length", b"9" * 5000)),
    *((b"A", b"b"), (b"", b""), (b"a b", b""), (b"a", b"b\r\nc: d"), (b"a", b" b "), (b"a", b"\0")),
    *((b"\xff", b"\xff"), (b"cookie", b"a=b"), (b"cookie", b";"), (b"expect", b"100-continue")),
    *((b"upgrade", b"websocket"), (b"x-request-id", b"\x1b"), (b"last-event-id", b"\xff")),
]


def http2(rng: random.Random) -> list[bytes]:
    """Return the bytes of a connection, in one or two parts; one kind of thing in it is wrong."""
    encoder = Encoder()
    kind = rng.choice((*["fields", "target", "frames", "bytes"] * 4, "preface"))
    requests = range(1, 2 * rng.randrange(2, 5), 2)
    frames = [
        frame.serialize()
        for stream_id in requests
        for frame in _http2_request(rng, encoder, stream_id, kind if stream_id > 1 else "target")
    ]
    if kind == "frames":
        changes: list[Callable[[], object]] = [
            lambda: frames.insert(rng.randrange(len(frames)), rng.choice(frames)),
            lambda: rng.shuffle(frames),
            lambda: frames.append(_odd_frame(rng)),
            lambda: frames.pop(rng.randrange(len(frames))),
        ]
        rng.choice(changes)()
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2.SettingsFrame(0).serialize()
    if kind == "preface":
        preface = mutate(rng, preface)
    at = rng.choice((0, rng.randrange(len(frames) + 1)))
    rest = b"".join(frames[at:])
    if kind == "bytes" and rest:
        rest = mutate(rng, rest, HTTP2_TOKENS)
    return [preface + b"".join(frames[:at]), rest] if at else [preface + rest]


def _http2_request(
    rng: random.Random, encoder: Encoder, stream_id: int, kind: str
) -> list[h2.Frame]:
    path = rng.choice(PATHS)
    fields = {b":method": b"POST" if path == PATHS[0] else b"GET", b":scheme": b"http"}
    fields |= {b":authority": b"localhost", b":path": path}
    if kind == "target":
        changes = [(b":method", METHODS), (b":path", TARGETS), (b":authority", HOSTS)]
        name, values = rng.choice(changes)
        fields[name] = rng.choice(values)
    head = list(fields.items())
    if kind == "fields":
        head.insert(rng.choice((*[len(head)] * 9, rng.randrange(4))), rng.choice(FIELDS))
    frames: list[h2.Frame] = [
        h2.HeadersFrame(stream_id, encoder.encode(head), flags=["END_HEADERS"])
    ]
    if path == PATHS[0]:
        frames.append(h2.DataFrame(stream_id, CHAT))
        if rng.random() < 0.2:
            trailers = encoder.encode([(b"a", b"b")])
            frames.append(h2.HeadersFrame(stream_id, trailers, flags=["END_HEADERS"]))
    frames[-1].flags.add("END_STREAM")
    return frames


def _odd_frame(rng: random.Random) -> bytes:
    body = rng.randbytes(rng.choice((0, 1, 4, 5, 6, 8, 30)))
    stream_id = rng.choice((0, 1, 2, 3, 99, 2**31 - 1))
    kind, flags = rng.randrange(12), rng.choice((0, 1, 4, 5, 8, 0x20, 0xFF))
    return b"%b%c%c%b%b" % (
        *(len(body).to_bytes(3, "big"), kind, flags),
        *(stream_id.to_bytes(4, "big"), body),
    )


def websocket(rng: random.Random) -> list[bytes]:
    """Return a handshake and frames, to be sent in one part or two; some of them are mutated."""
    create = json.dumps({"type": "response.create", "model": "sim:tokens=2,delay=0", "input": "a"})
    handshake = mutate(rng, WEBSOCKET) if rng.random() < 0.2 else WEBSOCKET
    texts = [create.encode(), b"{}", b"[", b"\xff", b"\xed\xa0\x80", b"", CHAT]
    frames = [_frame(rng, rng.choice(texts)) for _ in range(rng.randrange(4))]
    raw = b"".join(frames)
    if rng.random() < 0.4:
        raw = mutate(rng, raw, [b"\0", b"\xff", b"\x80", b"\x88\x80\0\0\0\0", b"\x89\xff"])
    raw += b"\x88\x82\0\0\0\0\x03\xe8"  # a close frame, so that the conversation ends
    return [handshake + raw] if rng.random() < 0.2 else [handshake, raw]


def _frame(rng: random.Random, payload: bytes) -> bytes:
    opcode = rng.choice((0x81, 0x81, 0x81, 0x82, 0x01, 0x80, 0x89, 0x8A, 0x88, 0x8B, 0xC1))
    if opcode == 0x88:
        payload = rng.choice((b"", b"\x03", b"\x03\xe8", b"\x03\xed", b"\0\0", b"\x0f\xa0\xff"))
    mask = rng.randbytes(4)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    size = len(payload)
    length = b"%c" % (0x80 | size) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return b"%c%b%b%b" % (opcode, length, mask, masked)
