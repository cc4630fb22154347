"""Removes secrets and addresses from a provider's texts before clients or logs see them."""

import ipaddress
import re
from collections.abc import Callable, Iterable

Scrub = Callable[[str], str]
"""Returns a provider's text without secrets and addresses."""

MAX_MESSAGE = 2000
"""Maximum number of characters of a provider's message that are passed on."""

_MAX_SCANNED = 4096
"""Maximum number of characters that are scanned; the rest is cut off first to bound the time."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,2000}", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,2000}", re.IGNORECASE)
_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|csk|glpat|ghp)[-_*][^\s\"'<>,;]{3,500}"
    r"|\bAIza[\w-]{10,100}|\beyJ[\w-]{8,2000}\.[\w-]{1,4000}\.?[\w-]{0,2000}"
)
_IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b")
_IPV6 = re.compile(
    r"\[?(?<![\w:.])((?:[0-9a-f]{0,4}:){2,7}[0-9a-f.]{0,15})(?![\w:])\]?(?::\d{1,5})?",
    re.IGNORECASE,
)
_HOST_PORT = re.compile(
    r"\b[a-z][a-z0-9-]{0,62}(?:\.[a-z0-9-]{1,63}){0,8}:\d{4,5}\b", re.IGNORECASE
)
_HOST = re.compile(
    r"\b(?:[a-z0-9-]{1,63}\.){1,8}(?:com|net|org|io|ai|dev|app|cloud|local|internal|lan|corp|svc)\b",
    re.IGNORECASE,
)

_RULES = (
    (_URL, "[address]"),
    (_BEARER, r"\1 [secret]"),
    (_KEY, "[secret]"),
    (_IPV4, "[address]"),
    (_HOST_PORT, "[address]"),
    (_HOST, "[address]"),
)


def scrubber(secrets: Iterable[str | None], hosts: Iterable[str] = ()) -> Scrub:
    """Return a function that also removes these secrets and host names."""
    literal = [secret for secret in secrets if secret]
    names = [
        re.compile(rf"(?<![\w.-]){re.escape(host)}(?![\w-])(?::\d{{1,5}})?", re.IGNORECASE)
        for host in hosts
    ]

    def scrub(text: str) -> str:
        text = text[:_MAX_SCANNED]
        for secret in literal:
            text = text.replace(secret, "[secret]")
        for name in names:
            text = name.sub("[address]", text)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return _IPV6.sub(_without_address, text)[:MAX_MESSAGE]

    return scrub


def _without_address(match: re.Match[str]) -> str:
    """Return the replacement of a possible IPv6 address; times and C++ names look like one."""
    try:
        ipaddress.IPv6Address(match[1])
    except ValueError:
        return match[0]
    return "[address]"
