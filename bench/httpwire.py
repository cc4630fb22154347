"""HTTP/1.1 response parser of the load generator: strict, and cheaper than a full library."""


class BadResponse(ValueError):
    """The bytes are not an HTTP/1.1 response."""


class ResponseReader:
    """A parser of one response: bytes from the socket go in, bytes of the body come out."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.headers: dict[str, str] = {}
        self.done = False
        self._rest = b""
        self._chunked = False
        self._left: int | None = None

    @property
    def ends_with_connection(self) -> bool:
        """True if the body has no length and ends with the connection."""
        return self.status is not None and not self._chunked and self._left is None

    def feed(self, data: bytes) -> bytes:
        """Return the body bytes in `data`. Raises `BadResponse` if the framing is invalid."""
        if self.done:
            raise BadResponse("bytes after the end of the response")
        data = self._rest + data if self._rest else data
        self._rest = b""
        if self.status is None:
            head, end, data = data.partition(b"\r\n\r\n")
            if not end:
                self._rest = head
                return b""
            self._read_head(head.decode("latin-1"))
        return self._dechunk(data) if self._chunked else self._plain(data)

    def _read_head(self, head: str) -> None:
        first, *lines = head.split("\r\n")
        version, _, status = first.partition(" ")
        if version != "HTTP/1.1":
            raise BadResponse(f"not an HTTP/1.1 status line: {first[:80]!r}")
        self.status = int(status[:3])
        self.headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in lines)}
        self._chunked = self.headers.get("transfer-encoding") == "chunked"
        if "content-length" in self.headers:
            self._left = int(self.headers["content-length"])

    def _plain(self, data: bytes) -> bytes:
        if self._left is not None:
            self._left -= len(data)
            self.done = self._left == 0
            if self._left < 0:
                raise BadResponse("more bytes than Content-Length says")
        return data

    def _dechunk(self, data: bytes) -> bytes:
        bodies, at = [], 0
        while (line := data.find(b"\r\n", at)) >= 0:
            size = int(data[at:line], 16)
            end = line + 2 + size
            if len(data) < end + 2:
                break
            if data[end : end + 2] != b"\r\n":
                raise BadResponse("a chunk is longer than its length says")
            bodies.append(data[line + 2 : end])
            at = end + 2
            if size == 0:
                self.done = True
                break
        self._rest = data[at:]
        if self.done and self._rest:
            raise BadResponse("bytes after the end of the response")
        return b"".join(bodies)
