"""Scenarios of failing providers: models with two routes, and what came of one call of each.

A scenario's primary is `main/{name}:{primary}`. Its fallback is the same voice, or another one, on
the provider `spare`; a voice says the same words under whatever settings, so that what the whole
answer is can be known from the witness. Names are unique, so that no scenario trips over the
breaker of another.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.live.client import JSON, chatting, reports, turn
from tests.live.frames import Frame, error_of, read_frames, text_of
from tests.live.harness import Process, Server, serving

TOKENS = 60
"""Of a whole answer, where it is not said otherwise."""
FIRST_TOKEN_S = 10.0
IDLE_S = 30.0
BUDGET_S = 30.0
"""The limits of all models, where it is not said otherwise."""
PRICE = {"input": 3, "output": 7}
"""Dollars per million tokens, and so micro-dollars per token."""
_SERVICE = """
[providers.main]
format = "openai-chat"
base_url = "http://127.0.0.1:{upstream}/v1"
[providers.spare]
format = "openai-chat"
base_url = "http://127.0.0.1:{upstream}/v1"
[store]
url = "sqlite:///{directory}/trouper.db"
[server]
bind = "127.0.0.1:0"
grace_s = 0
drain_s = 1
"""


@dataclass(frozen=True)
class Scenario:
    """One model, and how it is asked; `primary` and `fallback` are settings of simulated models."""

    name: str
    primary: str
    fallback: str = ""
    voice: str | None = None
    """Of the fallback; None: the same as the primary's, and so the same words."""
    stream: bool = True
    prefill: bool = False
    """Whether the fallback is declared to continue an answer that was begun."""
    windows: tuple[int, int] | None = None
    """The context windows that are declared."""
    instruction: str | None = None
    """What the fallback is told to go on with a broken answer; None: what it is told by default."""
    first_byte_s: float = 30.0
    total_s: float = BUDGET_S
    tokens: int = TOKENS
    structured: bool = False
    """Whether JSON is asked for."""

    @property
    def main(self) -> str:
        """The primary's model."""
        return self._model(self.name, self.primary)

    @property
    def spare(self) -> str:
        """The fallback's model."""
        return self._model(self.voice or self.name, self.fallback)

    def _model(self, voice: str, settings: str) -> str:
        return f"{voice}:{settings}{',' if settings else ''}tokens={self.tokens}"

    @property
    def toml(self) -> str:
        """The model's section."""
        able = ["tools", "images", "reasoning", *(["prefill"] if self.prefill else [])]
        small, large = self.windows or (100_000, 100_000)
        told = self.instruction and f"continue_instruction = {json.dumps(self.instruction)}"
        return f"""
[models.{json.dumps(self.name)}]
routes = [
    {{ route = {json.dumps("main/" + self.main)}, context_window = {small} }},
    {{ route = {json.dumps("spare/" + self.spare)}, context_window = {large} }},
]
capabilities = {json.dumps(able)}
price = {{ input = {PRICE["input"]}, output = {PRICE["output"]} }}
{told or ""}
[models.{json.dumps(self.name)}.timeouts]
first_byte_s = {self.first_byte_s}
first_token_s = {FIRST_TOKEN_S}
idle_s = {IDLE_S}
total_s = {self.total_s}
"""


@contextmanager
def serving_faults(
    directory: Path, upstream: Process, scenarios: Iterable[Scenario]
) -> Iterator[Server]:
    """A server with the models of these scenarios."""
    config = directory / "trouper.toml"
    models = "".join(scenario.toml for scenario in scenarios)
    service = _SERVICE.format(upstream=upstream.port, directory=directory)
    config.write_text(service + models)
    with serving(directory, config) as server:
        yield server


@dataclass(frozen=True)
class Said:
    """A whole answer, as the provider gives it to whoever asks it directly."""

    text: str
    usage: tuple[int, int]
    """Input and output tokens."""


@dataclass(frozen=True)
class Played:
    """What came of one call; times are of CLOCK_MONOTONIC, as the witness's."""

    scenario: Scenario
    status: int
    headers: dict[str, str]
    body: bytes
    asked_at: float
    ended_at: float
    turn: JSON
    """Its record."""
    main: list[JSON]
    """The witness's reports of what the primary was asked in this call, in order."""
    spare: list[JSON]
    of_main: "Said"
    """All that the primary would have said."""
    of_spare: "Said"
    """All that the fallback would have said, asked afresh."""

    @property
    def took_s(self) -> float:
        """From the request to the end of the response."""
        return self.ended_at - self.asked_at

    @property
    def began(self) -> list[float]:
        """Seconds from the first call of the primary to each of them."""
        times = [seconds(report, "began") for report in self.main]
        return [at - times[0] for at in times]

    @cached_property
    def frames(self) -> list[Frame]:
        """The stream's frames."""
        return read_frames(self.body)

    @cached_property
    def objects(self) -> list[JSON]:
        """The objects in them, or the one of a response that is no stream."""
        if not self.scenario.stream or self.status != 200:
            return [json.loads(self.body)]
        return [json.loads(frame.data) for frame in self.frames if frame.data != b"[DONE]"]

    @property
    def done(self) -> bool:
        """Whether the client takes the answer for whole."""
        if self.scenario.stream:
            return b"[DONE]" in self.body
        return self.status == 200

    @property
    def text(self) -> str:
        """What the client has been given to read."""
        if self.scenario.stream:
            return text_of(self.frames if self.done else self.frames[:-1])
        choices = self.objects[0]["choices"]
        assert isinstance(choices, list)
        return str(choices[0]["message"]["content"])

    @property
    def error(self) -> JSON:
        """The one error that the client was told."""
        if self.scenario.stream and self.status == 200:
            assert sum("error" in told for told in self.objects) == 1
            return error_of(self.frames)
        error = self.objects[0]["error"]
        assert isinstance(error, dict)
        return error

    @property
    def models(self) -> list[object]:
        """Whose answer the client takes it for, each once, in the order of the frames."""
        return list(dict.fromkeys(told["model"] for told in self.objects))

    @property
    def usage(self) -> tuple[int, int]:
        """Input and output tokens, as the client is told."""
        usage = self.objects[-1]["usage"]
        assert isinstance(usage, dict)
        return usage["prompt_tokens"], usage["completion_tokens"]

    @property
    def warnings(self) -> list[str]:
        """The codes of the warnings in the stream's comments."""
        return [
            line.split()[2].decode()
            for line in self.body.splitlines()
            if line.startswith(b": warning ")
        ]

    @property
    def attempts(self) -> list[JSON]:
        """The attempts on record."""
        attempts = self.turn["attempts"]
        assert isinstance(attempts, list)
        return attempts

    @property
    def results(self) -> list[tuple[object, object]]:
        """The provider of each attempt, and what became of it."""
        return [(attempt["provider"], attempt["result"]) for attempt in self.attempts]

    @property
    def recorded_usage(self) -> tuple[int, int, bool]:
        """Input and output tokens on the bill, and whether they are estimated."""
        usage = self.turn["usage"]
        assert isinstance(usage, dict)
        return usage["input_tokens"], usage["output_tokens"], usage["estimated"]


async def play(server: Server, upstream: Process, scenario: Scenario, take: int = 1) -> Played:
    """Ask for the scenario's model once, and find out all that there is to know of it."""
    user = f"{scenario.name}.{take}".replace(" ", "-")
    options = {"include_usage": True} if scenario.stream else None
    form = {"type": "json_object"} if scenario.structured else None
    asked_at = time.monotonic()
    async with chatting(
        server,
        scenario.name,
        stream=scenario.stream,
        user=user,
        stream_options=options,
        response_format=form,
    ) as call:
        status = await call.head()
        body = await call.rest()
        ended_at = time.monotonic()
        assert call.whole, body[-200:]
    asked = await reports(upstream, user)
    return Played(
        scenario=scenario,
        status=status,
        headers=call.headers,
        body=body,
        asked_at=asked_at,
        ended_at=ended_at,
        turn=await turn(server, call.turn_id),
        main=[report for report in asked if report["model"] == scenario.main],
        spare=[report for report in asked if report["model"] == scenario.spare],
        of_main=await said(upstream, scenario.name, scenario.tokens),
        of_spare=await said(upstream, scenario.voice or scenario.name, scenario.tokens),
    )


async def said(upstream: Process, voice: str, tokens: int) -> Said:
    """The whole answer of a voice, from the provider itself."""
    model = f"{voice}:tokens={tokens},delay=0,first=0"
    async with chatting(upstream, model, stream=False) as call:
        assert await call.head() == 200
        answer = json.loads(await call.rest())
    usage = answer["usage"]
    return Said(
        str(answer["choices"][0]["message"]["content"]),
        (usage["prompt_tokens"], usage["completion_tokens"]),
    )


def seconds(report: JSON, what: str) -> float:
    """One of the times in a report, which has to have happened."""
    at = report[what]
    assert isinstance(at, float), (what, report)
    return at
