"""Rules for hosts, origins and bodies, one request head at a time."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.auth.origins import OriginPolicy, Verdict

APP = "https://app.example"
POLICY = OriginPolicy(hosts=("trouper.example",), origins=(APP,), pages=("/board",))
OWN = {"host": "localhost:8700", "origin": "http://localhost:8700"}
FOREIGN = "https://evil.example"


def judge(
    fields: dict[str, str], method: str = "POST", path: str = "/v1/turns", *, tls: bool = False
) -> Verdict:
    given = {"host": "localhost:8700"} | fields
    headers = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    return POLICY.judge(method, path, headers, tls=tls)


def status(verdict: Verdict) -> int | None:
    return None if verdict.refusal is None else verdict.refusal.status


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "127.0.0.1:8700", "192.168.1.7:80", "[::1]", "[::1]:8700"),
        *("[fe80::1%25eth0]:8700", "localhost", "LocalHost:1", "localhost.:8700"),
        *("app.localhost", "trouper.example", "Trouper.Example.:443", ""),
    ],
)
def test_host_is_accepted(host: str) -> None:
    assert status(judge({"host": host})) is None


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:8700", "127.0.0.1.evil.example", "evil-localhost"),
        *("localhost.evil.example", "www.trouper.example", "trouper.example.evil", "localhost:x"),
        *("2130706433", "0x7f.1", "::1", "[::1", "[localhost]", ":8700", "user@localhost", "a b"),
        *("localhost..", "localhost, evil.example", "\xff"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_host_is_refused_and_the_setting_named(host: str, method: str) -> None:
    refusal = judge({"host": host, "origin": APP}, method).refusal
    assert refusal is not None
    assert (refusal.status, refusal.code) == (421, "host_not_allowed")
    assert "server.hosts" in refusal.message


def test_request_without_host_is_accepted_unless_a_page_sent_it() -> None:
    assert POLICY.judge("GET", "/health", []).refusal is None
    for origin in (b"http://", b"https://", b"http://localhost"):
        assert status(POLICY.judge("GET", "/health", [(b"origin", origin)])) == 403


@given(st.ip_addresses(), st.integers(0, 65_535))
def test_every_ip_address_is_accepted(address: object, port: int) -> None:
    host = f"[{address}]" if isinstance(address, IPv6Address) else str(address)
    for text in (host, f"{host}:{port}"):
        assert status(judge({"host": text})) is None
    assert status(judge({"host": f"{host}:81", "origin": f"http://{host}:81"} | JSON)) is None


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        (OWN, None),
        (OWN | {"sec-fetch-site": "same-origin"}, None),
        ({"sec-fetch-site": "none"}, None),
        ({"sec-fetch-mode": "cors"}, None),
        ({"referer": FOREIGN}, None),
        ({"host": "127.0.0.1", "origin": "https://127.0.0.1"}, None),
        ({"host": "127.0.0.1:80", "origin": "http://127.0.0.1"}, None),
        ({"host": "127.0.0.1:443", "origin": "https://127.0.0.1"}, None),
        ({"host": "Trouper.example:8700", "origin": "https://trouper.example:8700"}, None),
        ({"host": "[::1]:8700", "origin": "http://[::1]:8700"}, None),
        ({"origin": APP}, None),
        ({"origin": APP, "sec-fetch-site": "cross-site"}, None),
        ({"origin": FOREIGN}, 403),
        ({"origin": FOREIGN, "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://["}, 403),
        ({"origin": "http://localhost:3000"}, 403),
        ({"origin": "http://localhost"}, 403),
        ({"origin": "chrome-extension://localhost:8700"}, 403),
        ({"origin": "http://localhost:8700, https://evil.example"}, 403),
        ({"origin": "http://app.example"}, 403),
        ({"origin": f"{APP}.evil.example"}, 403),
        ({"origin": f"{APP}:8443"}, 403),
        (OWN | {"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "a future value"}, 403),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS", "ODD"])
def test_origin_decides(fields: dict[str, str], expected: int | None, method: str) -> None:
    verdict = judge(fields | JSON, method)
    assert status(verdict) == expected
    if verdict.refusal is not None:
        assert verdict.refusal.code == "origin_not_allowed"
        assert "cors.origins" in verdict.refusal.message


def test_http_origin_is_foreign_if_the_connection_uses_tls() -> None:
    for origin, expected in (("https://localhost:8700", None), ("http://localhost:8700", 403)):
        assert status(judge({"origin": origin} | JSON, tls=True)) == expected
        assert status(judge({"origin": origin} | JSON, tls=False)) is None


def test_repeated_origin_is_foreign() -> None:
    headers = [(b"host", b"localhost"), (b"origin", b"http://localhost"), (b"origin", b"null")]
    for given_headers in (headers, headers[::-1]):
        assert status(POLICY.judge("GET", "/", given_headers)) == 403
    twice = [(b"host", b"localhost"), (b"host", b"evil.example")]
    assert status(POLICY.judge("GET", "/", twice)) == 421


@pytest.mark.parametrize(
    ("changes", "method", "path", "expected"),
    [
        ({}, "GET", "/board", None),
        ({}, "HEAD", "/board", None),
        ({}, "GET", "/v1/turns", 403),
        ({}, "GET", "/board/", 403),
        ({}, "POST", "/board", 403),
        ({"sec-fetch-dest": "iframe"}, "GET", "/board", 403),
        ({"sec-fetch-mode": "no-cors"}, "GET", "/board", 403),
        ({"origin": FOREIGN}, "GET", "/board", 403),
        ({"host": "evil.example"}, "GET", "/board", 421),
    ],
)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_links_on_other_sites_open_only_html_pages(
    changes: dict[str, str], method: str, path: str, expected: int | None, site: str
) -> None:
    opens = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": site}
    assert status(judge(opens | changes, method, path)) == expected


BODY = {"content-length": "2"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (BODY | JSON, None),
        (BODY | {"content-type": "Application/JSON; charset=utf-8"}, None),
        (BODY | {"content-type": "application/octet-stream"}, None),
        ({}, None),
        ({"content-length": "0"}, None),
        (BODY, 415),
        (BODY | {"content-type": ""}, 415),
        (BODY | {"content-type": " ; charset=utf-8"}, 415),
        ({"transfer-encoding": "chunked"}, 415),
        (BODY | {"content-type": "text/plain"}, 415),
        (BODY | {"content-type": "Text/Plain;application/json"}, 415),
        ({"content-type": "text/plain"}, 415),
        (BODY | {"content-type": "application/x-www-form-urlencoded"}, 415),
        (BODY | {"content-type": "multipart/form-data; boundary=x"}, 415),
    ],
)
def test_simple_bodies_are_refused_from_browsers_only(
    fields: dict[str, str], expected: int | None
) -> None:
    for browser in (OWN, {"sec-fetch-site": "same-origin"}, {"origin": APP}):
        assert status(judge(fields | browser)) == expected
    for other in ({}, {"sec-fetch-mode": "cors"}, {"user-agent": "curl/8"}):
        assert status(judge(fields | other)) is None


TEXTS = st.text(st.characters(max_codepoint=255), max_size=40)
ODD_HEADERS = st.dictionaries(st.sampled_from(["accept", "referer", "cookie", "x-a"]), TEXTS)


@given(TEXTS, st.sampled_from(["GET", "POST", "OPTIONS"]), st.booleans(), ODD_HEADERS)
def test_unlisted_origins_never_pass(
    origin: str, method: str, tls: bool, others: dict[str, str]
) -> None:
    verdict = judge(others | {"origin": origin} | JSON, method, tls=tls)
    own = ("https://localhost:8700", "http://localhost:8700", APP)
    assert verdict.refusal is not None or origin in own
    assert origin == APP or "Access-Control-Allow-Origin" not in verdict.headers


@given(
    st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){0,3}\.example(:[0-9]{1,5})?", fullmatch=True)
)
def test_unlisted_names_never_pass(host: str) -> None:
    own = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert status(judge(own)) == (None if host.split(":")[0] == "trouper.example" else 421)


@given(TEXTS, TEXTS)
def test_any_bytes_are_judged(host: str, origin: str) -> None:
    judge({"host": host, "origin": origin, "content-type": origin})


@given(ODD_HEADERS, st.sampled_from(["GET", "POST", "DELETE", "OPTIONS"]), TEXTS, TEXTS)
def test_programs_other_than_browsers_are_not_restricted(
    others: dict[str, str], method: str, path: str, kind: str
) -> None:
    verdict = judge(others | {"content-type": kind, "content-length": "1"}, method, path)
    assert verdict == Verdict(headers={"Vary": "Origin"})


def test_preflight_of_a_listed_origin_allows_all_that_it_asks_for() -> None:
    names = "authorization,content-type,x-stainless-lang,idempotency-key,last-event-id"
    asked = {
        "origin": APP,
        "sec-fetch-site": "cross-site",
        "access-control-request-method": "DELETE",
        "access-control-request-headers": names,
    }
    verdict = judge(asked, "OPTIONS", "/anything")
    assert verdict.preflight
    assert verdict.headers["Access-Control-Allow-Origin"] == APP
    assert "DELETE" in verdict.headers["Access-Control-Allow-Methods"]
    assert verdict.headers["Access-Control-Allow-Headers"] == names
    assert verdict.headers["Vary"] == "Origin"
    assert not judge(asked | {"host": "evil.example"}, "OPTIONS").preflight
    assert not judge(asked | {"origin": FOREIGN}, "OPTIONS").preflight
    assert not judge(asked, "POST").preflight


@pytest.mark.parametrize("names", ["a\r\nX-Evil: 1", "a b", "a,,b", "\xff", '"a"', ""])
def test_preflight_repeats_only_header_names(names: str) -> None:
    asked = {
        "origin": APP,
        "access-control-request-method": "POST",
        "access-control-request-headers": names,
    }
    assert "Access-Control-Allow-Headers" not in judge(asked, "OPTIONS").headers


def test_refusals_are_readable_for_listed_origins_only() -> None:
    for fields, expected in (
        ({"host": "evil.example"}, 421),
        ({"content-type": "text/plain"}, 415),
    ):
        verdict = judge(fields | {"origin": APP})
        assert status(verdict) == expected
        assert verdict.headers["Access-Control-Allow-Origin"] == APP
    assert "Access-Control-Allow-Origin" not in judge({"origin": FOREIGN}).headers


def test_without_origins_nothing_varies() -> None:
    headers = [(b"host", b"localhost")]
    assert OriginPolicy().judge("GET", "/", headers) == Verdict()
