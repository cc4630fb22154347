"""Request ids: taken from the client if valid, or else generated."""

import re

from hypothesis import given
from hypothesis import strategies as st

from web.server.request_id import header_of, id_in, state_with_id

GENERATED = re.compile("req_[0-9a-hjkmnp-tv-z]{26}")
VISIBLE = st.characters(min_codepoint=0x21, max_codepoint=0x7E)


def request_id(headers: list[tuple[bytes, bytes]]) -> str:
    return id_in({"state": state_with_id(headers)})


@given(st.text(VISIBLE, min_size=1, max_size=128))
def test_valid_id_is_kept(given_id: str) -> None:
    headers = [(b"host", b"x"), (b"x-request-id", given_id.encode())]
    state = state_with_id(headers)
    assert id_in({"state": state}) == given_id
    assert header_of(state) == (b"x-request-id", given_id.encode())


@given(st.binary(max_size=200))
def test_invalid_id_is_replaced(value: bytes) -> None:
    sane = 0 < len(value) <= 128 and all(0x21 <= byte <= 0x7E for byte in value)
    found = request_id([(b"x-request-id", value)])
    assert found == value.decode() if sane else GENERATED.fullmatch(found)


def test_overlong_id_is_replaced() -> None:
    assert request_id([(b"x-request-id", b"a" * 128)]) == "a" * 128
    assert GENERATED.fullmatch(request_id([(b"x-request-id", b"a" * 129)]))


def test_first_of_several_ids_is_used() -> None:
    assert request_id([(b"x-request-id", b"a"), (b"x-request-id", b"b")]) == "a"
    assert GENERATED.fullmatch(request_id([(b"x-request-id", b""), (b"x-request-id", b"b")]))


def test_missing_id_is_generated() -> None:
    assert GENERATED.fullmatch(request_id([]))
    assert GENERATED.fullmatch(id_in({}))
    assert request_id([]) != request_id([])
