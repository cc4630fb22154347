"""The providers: which upstreams there are, how they are spoken to and how much they take."""

import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self, get_args
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, Field, field_validator, model_validator

from actors.providers.simulated import load_scenario
from web.config.secret import Secret
from web.config.sections import Count, Pause, Section, TimeoutOverrides

_VISIBLE = re.compile(r"[!-~]+")


def _base_url(text: str) -> str:
    if not _VISIBLE.fullmatch(text):
        raise ValueError("must not hold spaces, line ends or letters beyond ASCII")
    parts = urlsplit(text)
    try:
        httpx.URL(text).host.encode("idna")
        parts.port  # noqa: B018 (reading it checks it)
    except (httpx.InvalidURL, ValueError):
        raise ValueError("is no URL that can be asked; look at its host and port") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// URL, such as https://api.openai.com/v1")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a name or password; use api_key")
    if parts.query or parts.fragment:
        raise ValueError("must not have a ? or # part; the paths of calls are appended to it")
    return text.rstrip("/")


def _sendable(secret: Secret) -> Secret:
    value = secret.value.get_secret_value() if secret.value else None
    if value is not None and not _VISIBLE.fullmatch(value):
        raise ValueError("has characters in it that cannot be sent, such as a line end")
    return secret


BaseUrl = Annotated[str, AfterValidator(_base_url)]
Key = Annotated[Secret, AfterValidator(_sendable)]


class UpstreamLimits(Section):
    """How much a provider is asked for; nothing is limited that is left out."""

    requests_per_minute: Count | None = None
    """Requests in any 60 seconds. From 90 % on the provider's routes are tried last."""
    tokens_per_minute: Count | None = None
    """Tokens, of prompts and answers, in any 60 seconds; as `requests_per_minute`."""
    concurrent: Count | None = None
    """Requests at once; one more waits."""
    wait_s: Pause = 5.0
    """Seconds that a request waits for another one to end before the next route is tried."""


class Upstream(Section):
    """What all providers have in common that are asked over a network."""

    format: str
    """The wire format that the upstream speaks."""
    base_url: BaseUrl
    """URL that the paths of calls are appended to."""
    api_key: Key | None = None
    """Sent as the format asks for. Left out, as `api_keys`, the upstream gets no key; a reference
    that leads to nothing is reported, and without any key routes to this provider are skipped."""
    api_keys: Annotated[tuple[Key, ...], Field(min_length=1)] | None = None
    """Several keys, used in turn instead of `api_key`; one that is refused rests."""
    ca_file: Path | None = None
    """PEM file of the authorities that sign the upstream's certificate; left out, the system's."""
    limits: UpstreamLimits = UpstreamLimits()
    """How much this provider is asked for."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Clocks that differ from `[timeouts]`."""

    @model_validator(mode="after")
    def _keys_stand_in_one_place(self) -> Self:
        if self.api_key is not None and self.api_keys is not None:
            raise ValueError("api_key and api_keys are both set; set one of them")
        return self

    @field_validator("ca_file")
    @classmethod
    def _can_be_trusted(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                ssl.create_default_context(cafile=path)
            except ssl.SSLError:
                raise ValueError(f"{path}: has no certificate in it; it must be PEM") from None
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from None
        return path

    @property
    def secrets(self) -> dict[str, Secret]:
        """The configured keys by the place where they stand."""
        if self.api_keys is not None:
            return {f"api_keys[{number}]": key for number, key in enumerate(self.api_keys)}
        return {} if self.api_key is None else {"api_key": self.api_key}

    @property
    def usable_keys(self) -> tuple[str, ...]:
        """The keys in clear, for the wire only; those that lead to nothing are left out."""
        found = [key.value.get_secret_value() for key in self.secrets.values() if key.value]
        return tuple(dict.fromkeys(found))

    @property
    def keyless(self) -> bool:
        """Whether no key is asked for."""
        return not self.secrets

    @property
    def usable(self) -> bool:
        """False where a key was asked for and there is none: its routes are skipped."""
        return self.keyless or bool(self.usable_keys)

    def notes(self) -> Iterator[str]:
        """What is legal and yet not what one wants, each with the key that it is about."""
        skipped = "it is left out" if self.usable else "its routes are skipped"
        seen: dict[str, str] = {}
        for place, secret in self.secrets.items():
            if secret.value is None:
                yield f"{place}: {secret.problem}; {skipped}"
            elif (before := seen.setdefault(secret.value.get_secret_value(), place)) != place:
                yield f"{place}: is the same key as {before}, and used once"


class OpenAIChat(Upstream):
    """An upstream that speaks OpenAI's Chat Completions, as many do: none is the usual one."""

    format: Literal["openai-chat"]


class OpenAIResponses(Upstream):
    """An upstream that speaks OpenAI's Responses."""

    format: Literal["openai-responses"]
    base_url: BaseUrl = "https://api.openai.com/v1"


class ResponsesWs(Upstream):
    """An upstream that speaks OpenAI's Responses over WebSocket."""

    format: Literal["responses-ws"]
    base_url: BaseUrl = "https://api.openai.com/v1"


class Anthropic(Upstream):
    """An upstream that speaks Anthropic's Messages."""

    format: Literal["anthropic"]
    base_url: BaseUrl = "https://api.anthropic.com/v1"


class Gemini(Upstream):
    """An upstream that speaks Gemini's `streamGenerateContent`."""

    format: Literal["gemini"]
    base_url: BaseUrl = "https://generativelanguage.googleapis.com/v1beta"


class Ollama(Upstream):
    """An upstream that speaks Ollama's own API."""

    format: Literal["ollama"]
    base_url: BaseUrl = "http://127.0.0.1:11434"


class Simulated(Section):
    """The upstream inside the process: deterministic answers, and faults on demand."""

    format: Literal["simulated"]
    """The wire format that the upstream speaks."""
    scenario: Path | None = None
    """A scenario file. Left out, the name of the upstream model says what happens."""
    limits: UpstreamLimits = UpstreamLimits()
    """How much this provider is asked for."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Clocks that differ from `[timeouts]`."""

    @field_validator("scenario")
    @classmethod
    def _can_be_played(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                load_scenario(path.read_text(encoding="utf-8"))
            except OSError as error:
                raise ValueError(f"{path}: {error.strerror}") from None
        return path

    @property
    def usable(self) -> bool:
        """Always: it needs no key."""
        return True

    def notes(self) -> Iterator[str]:
        """Nothing can be amiss."""
        yield from ()


_Any = OpenAIChat | OpenAIResponses | ResponsesWs | Anthropic | Gemini | Ollama | Simulated
Provider = Annotated[_Any, Field(discriminator="format")]
FORMATS: tuple[str, ...] = tuple(
    get_args(member.model_fields["format"].annotation)[0] for member in get_args(_Any)
)
"""Every wire format that a provider may have."""
