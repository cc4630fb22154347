"""Providers and models: which upstreams there are, and which names lead to them."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import httpx
from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, field_validator

from actors.outcome import Mode
from actors.price import Price
from actors.providers.base import Route
from actors.providers.simulated import load_scenario
from web.config.secret import Secret
from web.config.sections import Seconds, Section, TimeoutOverrides

_DEAREST = 10**12
"""Micro-dollars per million tokens: a dollar a token."""
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


def _route(written: object) -> Route:
    if isinstance(written, Route):
        return written
    provider, slash, model = written.partition("/") if isinstance(written, str) else ("", "", "")
    if not (provider and slash and model):
        raise ValueError("must be provider/upstream-model, such as openai/gpt-5.2")
    return Route(provider, model)


def _micros(dollars: object) -> int:
    """Dollars as they are written (1.25), exactly: a binary fraction must not cost anyone."""
    if isinstance(dollars, bool) or not isinstance(dollars, int | float | str):
        raise ValueError("must be dollars per million tokens, such as 1.25")
    try:
        micros = Decimal(str(dollars)) * 1_000_000
        whole = int(micros)
    except (ArithmeticError, ValueError):
        raise ValueError("must be dollars per million tokens, such as 1.25") from None
    if whole > _DEAREST:
        raise ValueError("must not be more than 1000000 dollars per million tokens")
    if micros < 0 or micros != whole:
        raise ValueError("must not be negative, nor finer than a millionth of a dollar")
    return whole


def _dollars(micros: int) -> float:
    return micros / 1_000_000


BaseUrl = Annotated[str, AfterValidator(_base_url)]
RouteName = Annotated[Route, PlainValidator(_route), PlainSerializer(str)]
MicrosPerMillion = Annotated[int, PlainValidator(_micros), PlainSerializer(_dollars)]
"""Micro-dollars per million tokens; written as dollars per million tokens."""


class OpenAIChat(Section):
    """An upstream that speaks OpenAI's Chat Completions."""

    format: Literal["openai-chat"]
    """The wire format that the upstream speaks."""
    base_url: BaseUrl
    """URL before `/chat/completions`."""
    api_key: Secret | None = None
    """Sent as `Authorization: Bearer`. Left out, the upstream gets no key; a reference that leads
    to nothing is reported, and routes to this provider are skipped."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Clocks that differ from `[timeouts]`."""

    @field_validator("api_key")
    @classmethod
    def _can_be_sent(cls, secret: Secret | None) -> Secret | None:
        value = secret.value.get_secret_value() if secret and secret.value else None
        if value is not None and not _VISIBLE.fullmatch(value):
            raise ValueError("has characters in it that cannot be sent, such as a line end")
        return secret

    @property
    def key(self) -> str | None:
        """The key in clear, for the wire only."""
        if self.api_key is None or self.api_key.value is None:
            return None
        return self.api_key.value.get_secret_value()

    @property
    def usable(self) -> bool:
        """False where a key was asked for and there is none: its routes are skipped."""
        return self.api_key is None or self.api_key.value is not None


class Simulated(Section):
    """The upstream inside the process: deterministic answers, and faults on demand."""

    format: Literal["simulated"]
    """The wire format that the upstream speaks."""
    scenario: Path | None = None
    """A scenario file. Left out, the name of the upstream model says what happens."""
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


Provider = Annotated[OpenAIChat | Simulated, Field(discriminator="format")]


class PriceSettings(Section):
    """What a million tokens cost; read as integer micro-dollars."""

    input: MicrosPerMillion = 0
    """Dollars per million input tokens."""
    output: MicrosPerMillion = 0
    """Dollars per million output tokens."""
    cached_input: MicrosPerMillion | None = None
    """Dollars per million input tokens that the provider had cached; as `input` if left out."""

    def in_micros(self) -> Price:
        """As the actors take it."""
        return Price(input=self.input, output=self.output, cached_input=self.cached_input)


class Model(Section):
    """A name that clients ask for."""

    routes: Annotated[tuple[RouteName, ...], Field(min_length=1)]
    """Where it may be answered, in order of preference: `provider/upstream-model`."""
    price: PriceSettings = PriceSettings()
    """What its tokens cost; nothing, if left out."""
    mode: Mode | None = None
    """As in `[turns]`."""
    resume_window_s: Seconds | None = None
    """As in `[turns]`."""
    timeouts: TimeoutOverrides = TimeoutOverrides()
    """Clocks that differ from `[timeouts]` and from the provider's."""
