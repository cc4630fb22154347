"""Personal data is removed whole, of the configured kinds only, and with the right checksums."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.checks.personal_data import GUARD
from actors.guards.leaks.identifiers import Kind, is_iban, luhn
from actors.guards.spec import GuardContext, SpanCheck
from tests.support.guard_texts import replaced, shown_in_pieces

SAMPLES = {
    Kind.EMAIL: "anna.k@kettle-works.de",
    Kind.PHONE: "+49 (30) 9018-2077",
    Kind.IBAN: "DE75 5121 0800 1245 1261 99",
    Kind.CARD: "4539 1488 0343 6467",
    Kind.IP_ADDRESS: "93.184.215.14",
    Kind.SSN_US: "536-22-8145",
}


def check(*kinds: Kind) -> SpanCheck:
    made = GUARD.make(GuardContext(personal_data=frozenset(kinds)))
    assert isinstance(made, SpanCheck)
    return made


def test_no_kinds_need_no_check() -> None:
    assert GUARD.make(GuardContext()) is None


@pytest.mark.parametrize("kind", Kind)
def test_only_configured_kinds_are_removed(kind: Kind) -> None:
    text = "".join(f"- {sample}\n" for sample in SAMPLES.values())
    mark = f"[{kind.replace('_', ' ')} removed]"
    assert replaced(text, check(kind).find(text)) == text.replace(SAMPLES[kind], mark)


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("before", ["", "It is ", "(", "用", "a\n"])
@pytest.mark.parametrize("behind", ["", " now", ").", "\n1", "。"])
def test_nothing_of_it_is_shown_before_it_is_whole(kind: Kind, before: str, behind: str) -> None:
    text = f"{before}{SAMPLES[kind]}{behind}"
    expected = f"{before}[{kind.replace('_', ' ')} removed]{behind}"
    for shown in shown_in_pieces(check(kind), text, range(1, len(text))):
        assert expected.startswith(shown)
    assert shown == expected


@given(st.text(alphabet="0123456789", min_size=2, max_size=20), st.integers(0, 9))
def test_luhn_finds_every_wrong_digit(digits: str, other: int) -> None:
    checked = next(f"{digits}{last}" for last in range(10) if luhn(f"{digits}{last}"))
    for place, digit in enumerate(checked):
        changed = f"{checked[:place]}{other}{checked[place + 1 :]}"
        assert luhn(changed) == (digit == str(other))


@pytest.mark.parametrize("text", ["DE75512108001245126199", "FR1420041010050500013M02606"])
def test_check_digits_of_an_iban_find_every_wrong_digit(text: str) -> None:
    assert is_iban(text)
    for place in range(len(text)):
        for digit in set("0123456789") - {text[place]}:
            assert not text[place].isdigit() or not is_iban(
                f"{text[:place]}{digit}{text[place + 1 :]}"
            )
