"""Origin checks: decides from a request's head if a web page may have it answered.

A browser lets every page send requests to every server that the browser can reach, loopback
addresses included. The page cannot read the answer, but the request has its effect, and bodies of
a few content types are sent without asking the server first. A page can also point its own host
name at this server (DNS rebinding) and is then of the same origin as the server. Other programs
choose their headers freely, so these rules neither restrict nor authenticate them.

Sources: the Fetch standard, and W3C's Fetch Metadata Request Headers.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType

from msgspec import Struct

from actors.turn.outcome import ErrorInfo

EXPOSED = (
    *("X-Request-Id", "Request-Id", "X-Turn-Id", "X-Turn-Stored", "X-Trouper-Route"),
    *("Retry-After", "Retry-After-Ms", "X-Should-Retry"),
)
"""Headers of our responses that pages may read. Browsers hide all but a few standard ones."""

_READ = {
    name.encode(): name
    for name in (
        *("host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"),
        *("content-type", "content-length", "transfer-encoding"),
        *("access-control-request-method", "access-control-request-headers"),
    )
}
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
_HOST = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::\d*)?", re.ASCII)
"""`Host` (RFC 9110 §7.2). The group is the name, or the address with its brackets."""
_FIELD_NAMES = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?:, ?[!#$%&'*+\-.^_`|~0-9A-Za-z]+)*")
_OWN_SITES = ("same-origin", "none", "")
"""Values of `Sec-Fetch-Site` for requests of our own pages and of the user."""
_SAFE_METHODS = ("GET", "HEAD")
_SIMPLE_TYPES = ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data")
"""Content types that browsers send to other origins without a preflight (Fetch standard)."""


class Verdict(Struct, frozen=True):
    """The decision about one request."""

    refusal: ErrorInfo | None = None
    """Error to answer instead of dispatching the request."""
    preflight: bool = False
    """True for a preflight of an allowed origin; `headers` are the whole answer to it."""
    headers: Mapping[str, str] = _NO_HEADERS
    """CORS headers of the response, whatever its status is."""


class OriginPolicy:
    """The rules for the configured host names, foreign origins and HTML pages.

    `hosts` and `origins` are as `[server] hosts` and `[cors] origins` normalise them. `pages` are
    the paths of HTML pages, which links on other sites may open.
    """

    def __init__(
        self,
        hosts: Collection[str] = (),
        origins: Collection[str] = (),
        pages: Collection[str] = (),
    ) -> None:
        self._hosts = frozenset(hosts)
        self._origins = frozenset(origins)
        self._pages = frozenset(pages)
        # Without `Vary`, a cache could give one origin the answer that allows another.
        self._vary = {"Vary": "Origin"} if origins else _NO_HEADERS
        self._passed = Verdict(headers=self._vary)

    def judge(
        self, method: str, path: str, headers: Iterable[tuple[bytes, bytes]], *, tls: bool = False
    ) -> Verdict:
        """Return the verdict on a request; a WebSocket handshake has the method GET.

        `headers` have lower-case names, as in ASGI. `tls` is true if the connection uses TLS. If
        it is false, there may still be a proxy with TLS in front.
        """
        fields = _fields(headers)
        refusal = (
            self._check_host(fields)
            or self._check_origin(method, path, fields, tls=tls)
            or _check_body(method, fields)
        )
        origin = fields.get("origin", "")
        if origin in self._origins:
            return self._cors(method, origin, fields, refusal)
        return Verdict(refusal, headers=self._vary) if refusal else self._passed

    def _check_host(self, fields: Mapping[str, str]) -> ErrorInfo | None:
        """Return a 421 for a host name that a web page could have pointed at this server."""
        host = fields.get("host", "")
        # HTTP/1.0 has no `Host`. A browser always sends one.
        if not host or self._is_known(host):
            return None
        text = (
            f"This server does not answer for the host {host[:200]!r}. Use an IP address or"
            " localhost, or add the host's name to server.hosts."
        )
        return _refused(421, "host_not_allowed", text)

    def _is_known(self, host: str) -> bool:
        match = _HOST.fullmatch(host.lower())
        if match is None:
            return False
        name = match[1].removesuffix(".")
        # Browsers resolve names below localhost to loopback themselves (RFC 6761 §6.3). An IP
        # address is not resolved, so a page at one comes from the server at that address.
        return (
            name == "localhost"
            or name in self._hosts
            or name.endswith(".localhost")
            or _is_ip_address(name)
        )

    def _check_origin(
        self, method: str, path: str, fields: Mapping[str, str], *, tls: bool
    ) -> ErrorInfo | None:
        """Return a 403 for a request of a page of another origin, unless `origins` lists it."""
        origin = fields.get("origin")
        site = fields.get("sec-fetch-site", "")
        if origin is None:
            if site in _OWN_SITES or self._opens_page(method, path, fields):
                return None
        elif origin in self._origins or (site in _OWN_SITES and _is_own(origin, fields, tls=tls)):
            return None
        page = f"the origin {origin[:200]!r}" if origin is not None else "other origins"
        text = f"Web pages of {page} may not use this server. To allow one, add its origin to"
        return _refused(403, "origin_not_allowed", f"{text} cors.origins.")

    def _opens_page(self, method: str, path: str, fields: Mapping[str, str]) -> bool:
        """Return True if the browser opens an HTML page in a tab, so that only the user sees it."""
        target = fields.get("sec-fetch-mode"), fields.get("sec-fetch-dest")
        return (
            method in _SAFE_METHODS and path in self._pages and target == ("navigate", "document")
        )

    def _cors(
        self, method: str, origin: str, fields: Mapping[str, str], refusal: ErrorInfo | None
    ) -> Verdict:
        """Return a verdict with the headers that let a page of `origin` read the response.

        Credentials are not allowed: they are cookies, which this server doesn't use.
        """
        headers = {**self._vary, "Access-Control-Allow-Origin": origin}
        asked = fields.get("access-control-request-method")
        if method != "OPTIONS" or asked is None or refusal:
            headers["Access-Control-Expose-Headers"] = ", ".join(EXPOSED)
            return Verdict(refusal, headers=headers)
        headers |= {
            "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
            "Access-Control-Max-Age": "7200",
        }
        # Each SDK has headers of its own (`x-stainless-…`, `anthropic-…`), so all are allowed.
        names = fields.get("access-control-request-headers", "")
        if _FIELD_NAMES.fullmatch(names):
            headers["Access-Control-Allow-Headers"] = names
        return Verdict(preflight=True, headers=headers)


def _fields(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers that the rules read; repeated ones are joined, and then match nothing."""
    found: dict[str, str] = {}
    for raw, value in headers:
        name = _READ.get(raw)
        if name is not None:
            text = value.decode("latin-1")
            found[name] = f"{found[name]}, {text}" if name in found else text
    return found


@lru_cache(maxsize=64)  # parsing takes 5 µs, more than all other rules
def _is_ip_address(name: str) -> bool:
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _is_own(origin: str, fields: Mapping[str, str], *, tls: bool) -> bool:
    """Return True if `origin` is that of this server: the same host and port, and the same scheme.

    Without TLS both schemes count, because a proxy in front may add TLS.
    """
    host = fields.get("host", "").lower()
    own = {f"https://{host.removesuffix(':443')}"}
    if not tls:
        own.add(f"http://{host.removesuffix(':80')}")
    return bool(host) and origin in own


def _check_body(method: str, fields: Mapping[str, str]) -> ErrorInfo | None:
    """Return a 415 for a body that a browser would send without a preflight.

    A second barrier behind the origin. All browsers send `Origin` or `Sec-Fetch-Site` with a body;
    curl and SDKs send neither. Node's `fetch` sends `Sec-Fetch-Mode`, so that isn't a sign.
    """
    if method in _SAFE_METHODS or not ("origin" in fields or "sec-fetch-site" in fields):
        return None
    kind = fields.get("content-type", "").partition(";")[0].strip().lower()
    untyped = not kind and (
        fields.get("content-length", "0") != "0" or "transfer-encoding" in fields
    )
    if kind not in _SIMPLE_TYPES and not untyped:
        return None
    given = f"not {kind}" if kind else "and this one has none"
    text = f"A body from a web page needs the Content-Type application/json, {given}."
    return _refused(415, "unsupported_media_type", text)


def _refused(status: int, code: str, message: str) -> ErrorInfo:
    return ErrorInfo(status=status, message=message, type="invalid_request_error", code=code)
