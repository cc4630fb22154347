"""Identifiers of persons: addresses and numbers in text. Pure.

Numbers count only with their checksum or in a format that people write, and never those that
standards and vendors reserve for examples.
"""

import ipaddress
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from itertools import islice

from msgspec import Struct

from actors.guards import patterns
from actors.guards.leaks.flow import word_begin

Range = tuple[int, int]


class Kind(StrEnum):
    """A kind of personal data."""

    EMAIL = "email"
    PHONE = "phone"
    IBAN = "iban"
    CARD = "card"
    IP_ADDRESS = "ip_address"
    SSN_US = "ssn_us"


_EMAIL = patterns.compile(
    r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}\b"
)
_NO_MAILBOX = re.compile(
    r"(?:git|no-?reply|do-?not-?reply)@.*|.*[@.](?:example\.[a-z]+|example|test|invalid|localhost)"
    r"|.*\.(?:png|jpe?g|gif|svg|webp|py|js|ts)",
    re.IGNORECASE,
)
# Groups of digits with at most one space between them, since only those are not cut in two.
_NUMBER = patterns.compile(r"\+?\(?\d(?:(?: ?[()./-]{1,2} ?| )?\d){6,18}")
_PHONE = re.compile(
    r"(?:\+|00)[1-9][\d ()./-]{7,26}"
    r"|(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}"
    r"|\(?0[1-9]\d{1,4}\)?(?: ?[/-] ?| )\d[\d -]{4,11}"
    r"|0[1-9](?:[ .-]\d\d){4}"
)
_FICTIONAL = re.compile(r".*555[ .-]01\d\d")
_CARD = patterns.compile(r"\b\d(?:[ -]?\d){13,15}\b")
_CARD_PREFIX = re.compile(
    r"(?:3[47]\d{13}|3[068]\d{12}|35\d{14}|4\d{15}|5[1-5]\d{14}|2[2-7]\d{14}|6[045]\d{14})"
)
_TEST_CARDS = {
    *("4242424242424242", "4111111111111111", "4012888888881881", "4000056655665556"),
    *("5555555555554444", "5105105105105100", "2223003122003222", "6011111111111117"),
    *("378282246310005", "371449635398431", "3530111333300000", "30569309025904"),
}
_IBAN = patterns.compile(r"\b[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){11,30}")
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO", 16: "BE", 18: "DK FI FO GL NL", 19: "MK SI", 20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV", 22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST", 26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA", 30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU",
    }.items()
    for country in countries.split()
}  # fmt: skip
"""Number of characters of an IBAN by country (registry of ISO 13616)."""
_EXAMPLE_IBANS = {"DE89370400440532013000", "GB29NWBK60161331926819", "GB82WEST12345698765432"}
_IPV4 = patterns.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b")
_IPV6 = patterns.compile(r"\b[23][0-9A-Fa-f]{3}:(?:[0-9A-Fa-f]{0,4}:){1,6}[0-9A-Fa-f]{0,4}")
_RESOLVERS = {"8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "4.4.4.4", "1.2.3.4"}
"""Addresses of public services, and one that stands for any."""
_OF_NUMBERS = "0123456789()/.-+ "
_IBAN_CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_BEGINS_IBAN = re.compile(r"\b[A-Z]{2}\d\d(?:[ -]?[A-Z0-9]){0,30} \Z", re.ASCII)
_LONGEST_IBAN = 66
_SSN = patterns.compile(r"\b\d{3}-\d{2}-\d{4}\b")
_EXAMPLE_SSNS = {"078-05-1120", "219-09-9999", "123-45-6789", "111-11-1111"}


def _is_mailbox(text: str) -> bool:
    return _NO_MAILBOX.fullmatch(text) is None


def _is_phone(text: str) -> bool:
    digits = sum(map(str.isdigit, text))
    return (
        9 <= digits <= 15
        and _PHONE.fullmatch(text) is not None
        and _FICTIONAL.fullmatch(text) is None
    )


def luhn(digits: str) -> bool:
    """Return whether the last digit checks the others (ISO/IEC 7812)."""
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(n // 10 + n % 10 for n in doubled)) % 10 == 0


def _is_card(text: str) -> bool:
    digits = "".join(filter(str.isdigit, text))
    return _CARD_PREFIX.fullmatch(digits) is not None and digits not in _TEST_CARDS and luhn(digits)


def is_iban(text: str) -> bool:
    """Return whether the check digits of an IBAN without spaces are right (ISO 7064)."""
    return int("".join(str(int(char, 36)) for char in text[4:] + text[:4])) % 97 == 1


def _is_address(text: str) -> bool:
    try:
        return text not in _RESOLVERS and ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def _is_ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    never_given = area in {"000", "666"} or area >= "900" or group == "00" or serial == "0000"
    return not never_given and text not in _EXAMPLE_SSNS


def _ibans(text: str) -> Iterator[Range]:
    for begin, end in _IBAN.finditer(text):
        places = [place for place in range(begin, end) if text[place].isalnum()]
        length = _IBAN_LENGTHS.get(text[begin : begin + 2], len(places) + 1)
        if length <= len(places):
            last = places[length - 1] + 1
            compact = "".join(text[place] for place in islice(places, length))
            if (
                is_iban(compact)
                and compact not in _EXAMPLE_IBANS
                and not _is(r"^\w", text[last : last + 1])
            ):
                yield begin, last


class _Numbers(Struct, frozen=True):
    """A finder of matches of a pattern that pass a test and are no part of something longer."""

    pattern: patterns.Pattern
    accepts: Callable[[str], bool]
    before: str
    """Pattern for two characters that none of them follows."""
    behind: str
    """Pattern for text that none of them comes before."""

    def __call__(self, text: str) -> Iterator[Range]:
        """Yield the matches."""
        for begin, end in self.pattern.finditer(text):
            if (
                _is(self.before, text[max(0, begin - 2) : begin])
                or _is(self.behind, text[end : end + 2])
                or not self.accepts(text[begin:end])
            ):
                continue
            yield begin, end


def _is(pattern: str, text: str) -> bool:
    return re.search(pattern, text, re.ASCII) is not None


_V4 = _Numbers(_IPV4, _is_address, before=r"[\w._+-]\Z", behind=r"^\.?[0-9]")
_V6 = _Numbers(_IPV6, _is_address, before=r"[\w:.]\Z", behind=r"^[:\w]")


def _addresses(text: str) -> Iterator[Range]:
    yield from sorted([*_V4(text), *_V6(text)])


FINDERS: dict[Kind, Callable[[str], Iterator[Range]]] = {
    Kind.EMAIL: _Numbers(_EMAIL, _is_mailbox, before=r"\w\Z", behind=r"^\w"),
    Kind.PHONE: _Numbers(_NUMBER, _is_phone, r"(?:[\w./#-]|\d )\Z", r"^(?:[ .-]?\d|\w)"),
    Kind.IBAN: _ibans,
    Kind.CARD: _Numbers(_CARD, _is_card, r"(?:[\w./+-]|\d )\Z", r"^(?:[.-]?\d|\w)"),
    Kind.IP_ADDRESS: _addresses,
    Kind.SSN_US: _Numbers(_SSN, _is_ssn, r"[\w./-]\Z", r"^(?:[.-]?\d|\w)"),
}


def joins_number(text: str, gap_end: int) -> int:
    """Return the begin of a number in groups, as `+1 (555) 234-5678`, whose groups a gap joins."""
    if gap_end < 2 or text[gap_end - 1] != " ":
        return gap_end
    before, behind = text[gap_end - 2], text[gap_end]
    if before in _OF_NUMBERS and behind in _OF_NUMBERS:
        rest = len(text[:gap_end].rstrip(_OF_NUMBERS))
        if text[rest] == " ":
            return gap_end - len(text[rest:gap_end].lstrip(" "))
        # A number at the beginning of a line does not join the line before it.
        return rest if text[:rest][-1:].isspace() else word_begin(text, rest)
    if (
        before in _IBAN_CHARACTERS
        and behind in _IBAN_CHARACTERS
        and _BEGINS_IBAN.search(text, max(0, gap_end - _LONGEST_IBAN), gap_end) is not None
    ):
        return word_begin(text, gap_end)
    return gap_end
