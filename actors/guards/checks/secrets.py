"""Removes keys, tokens, passwords and private keys from answers.

A credential is either known by its format, or by the name of the field or variable that it is
assigned to; then it also has to look random. Private keys and passwords in URLs count, too.
"""

import base64
import re
from collections.abc import Iterator

from actors.guards.leaks import credentials, private_keys
from actors.guards.leaks.flow import Flow
from actors.guards.spec import Action, Check, GuardContext, GuardSpec, Span

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
_OF_LISTS = ("page", "next", "csrf", "xsrf", "cursor", "sync", "continuation")
"""Kinds of tokens that open nothing."""
_ASKED = re.compile(
    r"\b(?:generat|creat|suggest|mak|giv|invent|propos|need|erstell|erzeug|vorschlag|génér|gener|crea)"
    r"\w*\W.{0,60}(?:password|passphrase|passwort|kennwort|mot de passe|contraseña|secret|token|key)",
    re.IGNORECASE | re.DOTALL,
)
"""A wish for a new password, which the answer has to show."""


def _known(text: str) -> Iterator[tuple[int, int]]:
    """Yield credentials that are known by their form."""
    yield from private_keys.BLOCK.finditer(text)
    for pattern in (credentials.TOKEN, credentials.BEARER):
        for begin, end in pattern.finditer(text, group=1):
            if credentials.is_token(text[begin:end]):
                yield begin, end
    for begin, end in credentials.BASIC.finditer(text, group=1):
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
        for begin, end in pattern.finditer(text, group=1):
            value = text[begin:end]
            if text[end : end + 1] not in {'"', "'", "`"}:
                value = value.rstrip(".:!?*")
            name = text[max(0, begin - 40) : begin].lower()
            if (
                text[end : end + 1] not in {"(", "[", "{"}
                and not any(
                    f"{kind}{mark}token" in name for kind in _OF_LISTS for mark in ("", "_", "-")
                )
                and credentials.is_password(value)
                and credentials.is_literal(value)
            ):
                yield begin, begin + len(value)


def _password_of(encoded: str) -> str:
    """Return the password in the credentials of an `Authorization: Basic` header, or a weak one."""
    padded = encoded + "=" * (-len(encoded) % 4)
    plain = base64.b64decode(padded, altchars=b"-_").decode("latin-1")
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
