"""No credential is cut in two, however the text arrives, and none of it settles before it ends."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.guards.checks.secrets import GUARD, REMOVED
from actors.guards.leaks.credentials import TOKENS, is_token
from actors.guards.spec import GuardContext, Span, SpanCheck
from tests.support.guard_texts import shown_in_pieces

PREFIXES = ("", "The key is ", '{"key":"', "(", "=", "用", "a\n", "\\n")
SUFFIXES = ("", " ", "\n\n", '"}', ") and more", "。", "\nnext line")
KEY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"
PEM = (
    f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n{KEY[7:]}\n{KEY[40:]}==\n"
    "-----END RSA PRIVATE KEY-----"
)
PGP = (
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\nComment: none, really\n\n"
    f"{KEY}\n=njUN\n-----END PGP PRIVATE KEY BLOCK-----"
)
NAMED = (
    ("password = ", "hunter2xyz"),
    ("DB_PASSWORD=", "hunter2xyz"),
    ('"clientSecret" : "', "9fd8s7f6g5h4j3k2l1m0"),
    ("The password is: **", "Tr0ub4dor&3"),
    ("password: str = '", "hunter2xyz"),
    ("my API key is ", "93kd8s7f6g5h4j3k2l1m"),
    ("Authorization: Bearer ", "93kd8s7f6g5h4j3k2l1mXq"),
    ("authorization: Basic ", "YWRtaW46aHVudGVyMng="),
    ("tool --password ", "hunter2xyz"),
    ("postgres://app:", "s3cr3tPw"),
)


def check() -> SpanCheck:
    made = GUARD.make(GuardContext())
    assert isinstance(made, SpanCheck)
    return made


def assert_withheld(secret: str, before: str, behind: str) -> None:
    """Check that a secret is removed, and that none of it settles before all of it has come."""
    text = f"{before}{secret}{behind}"
    begin, end = len(before), len(before) + len(secret)
    assert check().find(text) == [Span(begin, end, REMOVED)]
    for size in range(len(text)):
        settled = check().settle(text[:size])
        assert settled <= begin or end <= settled <= size
    *_, shown = shown_in_pieces(check(), text, range(1, len(text)))
    assert shown == f"{before}{REMOVED}{behind}"


@pytest.mark.parametrize("issuer", TOKENS)
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_token_is_withheld_whole_however_it_is_cut(issuer: str, data: st.DataObject) -> None:
    pattern = re.compile(TOKENS[issuer], re.ASCII)
    token = data.draw(st.from_regex(pattern, fullmatch=True).filter(is_token))
    before = data.draw(st.sampled_from(PREFIXES))
    assert_withheld(token, before, data.draw(st.sampled_from(SUFFIXES)))


@pytest.mark.parametrize("before", ["", "Here it is:\n\n", '{"key": "', "x='", "钥匙"])
@pytest.mark.parametrize("behind", ["", "\n", "\nKeep it safe.", '"}', "'\nprint(x)", "。"])
@pytest.mark.parametrize("block", [PEM, PGP, PEM.replace("\n", "\\n"), PEM.replace("\n", "\n  ")])
def test_private_key_is_withheld_whole(block: str, before: str, behind: str) -> None:
    assert_withheld(block, before, behind)


@pytest.mark.parametrize(("before", "secret"), NAMED)
@pytest.mark.parametrize("behind", ["", " ", "\nand more", '"', "'"])
def test_named_value_is_withheld_whole(before: str, secret: str, behind: str) -> None:
    end = "@host/db" if "://" in before else ""
    assert_withheld(secret, before, end + behind)


def test_header_that_breaks_off_is_no_error() -> None:
    assert check().find("Authorization: Basic YWRtaW46aHVud") == [Span(21, 34, REMOVED)]


@pytest.mark.parametrize(
    "text",
    [
        f"password = {'1.' * 4000}!",
        f"password = {'a' * 8000}1!",
        f"password = {'a-1' * 2000}!",
        "password = " * 700,
        "-----BEGIN RSA PRIVATE KEY-----\n" * 250,
        "x" * 8000,
    ],
)
def test_any_text_settles_in_linear_time(text: str) -> None:
    """The longest text that is held takes at most a few milliseconds for each token."""
    started = time.thread_time()
    for size in range(0, len(text), 40):
        check().settle(text[:size])
    check().find(text)
    assert time.thread_time() - started < 2
