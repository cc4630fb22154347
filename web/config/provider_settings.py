"""Settings of the providers: wire format, address, keys, limits and timeouts."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from actors.providers.formats.base import FormatSpec
from actors.providers.simulated import load_scenario
from web import registry
from web.config.field_types import Secret
from web.config.sections import Count, Pause, Section, TimeoutOverrides

_VISIBLE = re.compile(r"[!-~]+")
_WORD = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*(=[A-Za-z0-9_.-]+)?")


def formats() -> dict[str, FormatSpec]:
    """Return the registered formats by name."""
    return {spec.name: spec for spec in registry.load(registry.FORMATS, FormatSpec)}


def format_names() -> tuple[str, ...]:
    """Return all formats that a provider may have."""
    return (*formats(), "simulated")


def _base_url(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise ValueError("must not contain white space or non-ASCII characters")
    try:
        parts = urlsplit(text)
        httpx.URL(text).host.encode("idna")
        parts.port  # noqa: B018 (reading it checks it)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("is not a valid URL; check its host and port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL, such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not contain a user name or password; use api_key")
    if parts.query or parts.fragment:
        raise ValueError("must not have a ? or # part, because paths are appended to it")
    return text.rstrip("/")


def _sendable(secret: Secret) -> Secret:
    value = secret.value.get_secret_value() if secret.value else None
    if value is not None and not _VISIBLE.fullmatch(value):
        raise ValueError("contains characters that cannot be sent in a header, such as a newline")
    return secret


def _word(text: str) -> str:
    if not _WORD.fullmatch(text):
        raise ValueError("must be a field, a value such as reasoning_effort=high, or *")
    return text


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Key = Annotated[Secret, AfterValidator(_sendable)]
Word = Annotated[str, AfterValidator(_word)]


class UpstreamLimits(Section):
    """Limits on the use of a provider; a limit that is left out does not apply."""

    requests_per_minute: Count | None = None
    """Requests in any 60 seconds. From 90 % on, the provider's routes are tried last."""
    tokens_per_minute: Count | None = None
    """Prompt and answer tokens in any 60 seconds. From 90 % on, the provider's routes are tried
    last."""
    concurrent: Count | None = None
    """Concurrent requests; further ones wait."""
    wait_s: Pause = 5.0
    """Seconds that a request waits for a free slot before the next route is tried."""


def _ca_file(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise ValueError(f"{path}: contains no certificate in PEM format") from None
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return path


def _scenario(path: Path) -> Path:
    try:
        load_scenario(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    return path


class Upstream(Section):
    """Settings that all providers with a network address share."""

    format: str
    """Wire format of the upstream."""
    base_url: BaseUrl
    """URL to which the paths of API calls are appended."""
    api_key: Key | None = None
    """API key. Without `api_key` and `api_keys` the upstream gets no key. If a reference cannot be
    resolved, a warning is logged; if no key is left, the provider's routes are skipped."""
    api_keys: Annotated[tuple[Key, ...], Field(min_length=1)] | None = None
    """Several API keys, used in rotation instead of `api_key`; a key that is refused is paused."""
    ca_file: Annotated[Path, AfterValidator(_ca_file)] | None = None
    """PEM file of the authorities that sign the upstream's certificate. Default: the system's."""
    accepts: tuple[Word, ...] = ()
    """Fields and values of OpenAI's API that the server accepts although other servers usually
    don't, such as `developer` or `reasoning_effort=xhigh`."""
    refuses: tuple[Word, ...] = ()
    """Fields and values that the server refuses, in addition to those left out by default."""
    limits: UpstreamLimits = UpstreamLimits()
    """Limits on the use of this provider."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Timeouts that differ from `[timeouts]`."""

    @model_validator(mode="before")
    @classmethod
    def _base_url_by_format(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        format = formats().get(str(given["format"]))
        url = {"base_url": format.base_url} if format is not None and format.base_url else {}
        return url | given

    @model_validator(mode="after")
    def _check_single_key_setting(self) -> Self:
        if self.api_key is not None and self.api_keys is not None:
            raise ValueError("api_key and api_keys are both set; set one of them")
        return self

    @property
    def secrets(self) -> dict[str, Secret]:
        """The configured keys by their setting: `api_key`, `api_keys[0]`."""
        if self.api_keys is not None:
            return {f"api_keys[{number}]": key for number, key in enumerate(self.api_keys)}
        return {} if self.api_key is None else {"api_key": self.api_key}

    @property
    def usable_keys(self) -> tuple[str, ...]:
        """The distinct keys in clear text, to be sent only; unresolved ones are left out."""
        found = [key.value.get_secret_value() for key in self.secrets.values() if key.value]
        return tuple(dict.fromkeys(found))

    @property
    def keyless(self) -> bool:
        """True if no key is configured, so that none is sent."""
        return not self.secrets

    @property
    def usable(self) -> bool:
        """False if keys are configured but none could be resolved: the routes are skipped."""
        return self.keyless or bool(self.usable_keys)

    def notes(self) -> Iterator[str]:
        """Yield a line for each key that is unresolved or a duplicate."""
        skipped = "the key is left out" if self.usable else "the provider's routes are skipped"
        seen: dict[str, str] = {}
        for place, secret in self.secrets.items():
            if secret.value is None:
                yield f"{place}: {secret.problem}; {skipped}"
            elif (before := seen.setdefault(secret.value.get_secret_value(), place)) != place:
                yield f"{place}: is the same key as {before}; it is used once"


class Simulated(Section):
    """The upstream inside the process: deterministic answers, and faults on demand."""

    format: Literal["simulated"]
    """Wire format of the upstream."""
    scenario: Annotated[Path, AfterValidator(_scenario)] | None = None
    """Scenario file. Without one, the name of the upstream model defines the behaviour."""
    limits: UpstreamLimits = UpstreamLimits()
    """Limits on the use of this provider."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Timeouts that differ from `[timeouts]`."""

    @property
    def usable(self) -> bool:
        """Always true: no key is needed."""
        return True

    def notes(self) -> Iterator[str]:
        """Yield nothing: these settings have no pitfalls."""
        yield from ()


def _kind(settings: object) -> str | None:
    """Return the tag of the class that validates a provider: `upstream` or `simulated`.

    Any other tag is an unknown format, and None a missing one: pydantic refuses both.
    """
    if isinstance(settings, dict):
        format = settings.get("format")
        return "upstream" if str(format) in formats() else format
    return "simulated" if isinstance(settings, Simulated) else "upstream"


Provider = Annotated[
    Annotated[Upstream, Tag("upstream")] | Annotated[Simulated, Tag("simulated")],
    Discriminator(_kind),
]
