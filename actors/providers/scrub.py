"""Takes secrets and addresses out of what a provider says before anybody else reads it."""

import re
from collections.abc import Callable, Iterable

Scrub = Callable[[str], str]
"""Makes a provider's text fit for clients."""

MAX_MESSAGE = 2000
"""Characters of a provider's message that are passed on."""

_MAX_SCANNED = 4096
"""Characters that are looked at: the rest is cut before, so that scanning stays short."""

_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s\"'<>]{1,2000}", re.IGNORECASE)
_BEARER = re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{4,2000}", re.IGNORECASE)
_KEY = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|hf|pplx|nvapi|csk|glpat|ghp)[-_*][^\s\"'<>,;]{3,500}"
    r"|\bAIza[\w-]{10,100}|\beyJ[\w-]{8,2000}\.[\w-]{1,4000}\.?[\w-]{0,2000}"
)
_IPV4 = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?\b")
_IPV6 = re.compile(r"\[?\b(?:[0-9a-f]{0,4}:){2,7}[0-9a-f]{0,4}\b\]?(?::\d{1,5})?", re.IGNORECASE)
_HOST_PORT = re.compile(
    r"\b(?:localhost|[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,8}):\d{2,5}\b", re.I
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
    (_IPV6, "[address]"),
    (_HOST_PORT, "[address]"),
    (_HOST, "[address]"),
)


def scrubber(secrets: Iterable[str | None], hosts: Iterable[str] = ()) -> Scrub:
    """A function that also takes out these secrets and host names, wherever they stand."""
    literal = [(secret, "[secret]") for secret in secrets if secret]
    literal += [(host, "[address]") for host in hosts if host]

    def scrub(text: str) -> str:
        text = text[:_MAX_SCANNED]
        for word, instead in literal:
            text = text.replace(word, instead)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text[:MAX_MESSAGE]

    return scrub
