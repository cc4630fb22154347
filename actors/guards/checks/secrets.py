"""Removes keys, tokens, passwords and private keys from answers.

A credential is either known by its format, or by the name of the field or variable that it is
assigned to; then it also has to look random. Private keys and passwords in URLs count, too.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from itertools import chain

from actors.guards.leaks import credentials, private_keys
from actors.guards.leaks.flow import Flow
from actors.guards.patterns import Pattern
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span
from actors.guards.wording.phrases import phrases

REMOVED = "[secret removed]"
_FLOW = Flow(
    longest=8192,
    joined=credentials.joins_value,
    last_block=private_keys.last_block,
)
_SHORT = 200
"""Characters up to which a search for what credentials have is faster than one for them."""
_RUN = re.compile(r"[!-~]{12}")
"""Credentials without a name are no shorter."""
_NAME = re.compile(r"pass|pwd|wort|secret|token|key|credential|bearer|basic", re.IGNORECASE)
_OF_A_LIST = re.compile(
    r"(?:page|next|csrf|xsrf|cursor|sync|continuation)[_-]?token\W*\Z", re.IGNORECASE | re.ASCII
)
"""Name of a token that opens nothing."""
_ASKED = phrases(
    r"""
    (?:generat|creat|suggest|mak|giv|invent|propos|need)\w*\b.{0,60}\b(?:password|passphrase)
    (?:generat|creat|suggest|mak|giv|invent|propos|need)\w*\b.{0,60}\b(?:secret|token|key)\b
    (?:erstell|erzeug|generier|brauch|nenn|gib)\w*\b.{0,60}(?:passw[oö]rt|kennwort|schlüssel)
    (?:génère|crée|donne|propose|genera|crea|dame)\w*\b.{0,60}\b(?:mot de passe|contraseña|clave)
    """
)
"""A wish for a new password, which the answer has to show."""


def _known(text: str) -> Iterator[tuple[int, int]]:
    """Yield credentials that are known by their form."""
    yield from private_keys.BLOCK.finditer(text)
    tokens = credentials.TOKEN.finditer(text, group=1)
    for begin, end in chain(tokens, _values(credentials.BEARER, text)):
        if credentials.is_token(text[begin:end]):
            yield begin, end
    for begin, end in _values(credentials.BASIC, text):
        if credentials.is_password(_password_of(text[begin:end])):
            yield begin, end
    for begin, end in credentials.URL.finditer(text, group=1):
        user = text[:begin].rpartition("/")[2].rstrip(":")
        password = text[begin:end]
        if password[0] not in "$%" and password != user and credentials.is_password(password):
            yield begin, end


def _assigned(text: str) -> Iterator[tuple[int, int]]:
    """Yield credentials that are known by their name."""
    for pattern in (credentials.PASSWORD_SET, credentials.TOKEN_SET, credentials.OPTION_SET):
        for begin, end in _values(pattern, text):
            value = text[begin:end]
            if text[end : end + 1] not in {'"', "'", "`"}:
                value = value.rstrip(".:!?*")
            if (
                text[end : end + 1] not in {"(", "[", "{"}
                and _OF_A_LIST.search(text, max(0, begin - 60), begin) is None
                and credentials.is_password(value)
                and credentials.is_literal(value)
            ):
                yield begin, begin + len(value)


def _values(pattern: Pattern, text: str) -> Iterator[tuple[int, int]]:
    """Yield the values that a pattern finds behind names. A value can be the next name."""
    at = 0
    while True:
        for begin, end in pattern.finditer(text[at:], group=1):
            if credentials.is_name(text[at + begin : at + end]):
                at += begin
                break
            yield at + begin, at + end
        else:
            return


def _password_of(encoded: str) -> str:
    """Return the password in the credentials of an `Authorization: Basic` header, or a weak one."""
    padded = encoded + "=" * (-len(encoded) % 4)
    try:
        plain = base64.b64decode(padded).decode("latin-1")
    except binascii.Error:
        return encoded  # it breaks off
    return plain.partition(":")[2] or "password"


def _merged(found: list[tuple[int, int]]) -> Iterator[Span]:
    """Yield what is found in order, with what overlaps as one."""
    begin = end = -1
    for first, last in sorted(found):
        if first <= end:
            end = max(end, last)
            continue
        if end > begin:
            yield Span(begin, end, REMOVED)
        begin, end = first, last
    if end > begin:
        yield Span(begin, end, REMOVED)


def _spans_of_known(text: str) -> list[Span]:
    if len(text) < _SHORT and _RUN.search(text) is None:
        return []
    return list(_merged(list(_known(text))))


def _spans(text: str) -> list[Span]:
    if len(text) < _SHORT and _NAME.search(text) is None:
        return _spans_of_known(text)
    return list(_merged([*_known(text), *_assigned(text)]))


def _make(context: GuardContext) -> Check:
    asked = _ASKED.search(context.question) is not None
    return _FLOW.check(_spans_of_known if asked else _spans, everywhere=True)


GUARD = GuardSpec(
    name="secrets",
    does="Removes API keys, tokens, passwords and private keys.",
    action=Action.REWRITE,
    make=_make,
)
