"""Scenarios of failing providers: models with a primary and a fallback route, and their results.

A scenario's primary route is `main/{name}:{primary}`. Its fallback has the same voice, or another
one, on the provider `spare`. A simulated model's voice determines its words, whatever its other
settings, so the simulated provider can be asked for the complete answer. Names are unique, so no
scenario is affected by the circuit breaker of another.
"""

import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.live.harness import Process, Server, serving
from tests.support.live.http_client import JSON, open_chat, reports, turn
from tests.support.live.sse_frames import Frame, error_of, read_frames, text_of

TOKENS = 60
"""Default number of tokens of a complete answer."""
FIRST_TOKEN_S = 10.0
"""Timeout for the first token, in seconds."""
IDLE_S = 30.0
"""Timeout between tokens, in seconds."""
BUDGET_S = 30.0
"""Default total time budget, in seconds."""
PRICE = {"input": 3, "output": 7}
"""Prices in dollars per million tokens, which equals micro-dollars per token."""
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
    """One model and its request; `primary` and `fallback` are settings of simulated models."""

    name: str
    primary: str
    fallback: str = ""
    voice: str | None = None
    """Voice of the fallback; None uses the primary's, which gives the same words."""
    stream: bool = True
    prefill: bool = False
    """Declare that the models support prefill, that is, continuing an assistant message."""
    windows: tuple[int, int] | None = None
    """Declared context windows of the primary and the fallback, in tokens."""
    instruction: str | None = None
    """Instruction with which the fallback continues an interrupted answer; None for the default."""
    first_byte_s: float = 30.0
    total_s: float = BUDGET_S
    tokens: int = TOKENS
    structured: bool = False
    """Request a JSON object as the answer."""

    @property
    def main(self) -> str:
        """The primary's upstream model."""
        return self._model(self.name, self.primary)

    @property
    def spare(self) -> str:
        """The fallback's upstream model."""
        return self._model(self.voice or self.name, self.fallback)

    def _model(self, voice: str, settings: str) -> str:
        return f"{voice}:{settings}{',' if settings else ''}tokens={self.tokens}"

    @property
    def toml(self) -> str:
        """The configuration tables of the model."""
        capabilities = ["tools", "images", "reasoning", *(["prefill"] if self.prefill else [])]
        small, large = self.windows or (100_000, 100_000)
        instruction = self.instruction and f"continue_instruction = {json.dumps(self.instruction)}"
        return f"""
[models.{json.dumps(self.name)}]
routes = [
    {{ route = {json.dumps("main/" + self.main)}, context_window = {small} }},
    {{ route = {json.dumps("spare/" + self.spare)}, context_window = {large} }},
]
capabilities = {json.dumps(capabilities)}
price = {{ input = {PRICE["input"]}, output = {PRICE["output"]} }}
{instruction or ""}
[models.{json.dumps(self.name)}.timeouts]
first_byte_s = {self.first_byte_s}
first_token_s = {FIRST_TOKEN_S}
idle_s = {IDLE_S}
after_finish_s = 1.0
total_s = {self.total_s}
"""


@contextmanager
def serving_faults(
    directory: Path, upstream: Process, scenarios: Iterable[Scenario]
) -> Iterator[Server]:
    """Run a server with the models of these scenarios."""
    config = directory / "trouper.toml"
    models = "".join(scenario.toml for scenario in scenarios)
    service = _SERVICE.format(upstream=upstream.port, directory=directory)
    config.write_text(service + models)
    with serving(directory, config) as server:
        yield server


@dataclass(frozen=True)
class FullAnswer:
    """A complete answer, as the provider gives it to a direct request."""

    text: str
    usage: tuple[int, int]
    """Input and output tokens."""


@dataclass(frozen=True)
class ScenarioResult:
    """The result of one call; times are CLOCK_MONOTONIC, like the provider's reports."""

    scenario: Scenario
    status: int
    headers: dict[str, str]
    body: bytes
    asked_at: float
    ended_at: float
    turn: JSON
    """The stored turn."""
    main: list[JSON]
    """The provider's reports of this call's requests to the primary, in order."""
    spare: list[JSON]
    """The provider's reports of this call's requests to the fallback, in order."""
    main_answer: "FullAnswer"
    """The complete answer of the primary."""
    spare_answer: "FullAnswer"
    """The complete answer of the fallback to the original request."""

    @property
    def duration_s(self) -> float:
        """Seconds from the request to the end of the response."""
        return self.ended_at - self.asked_at

    @property
    def main_request_times(self) -> list[float]:
        """Start of each request to the primary, in seconds after the first."""
        times = [timestamp(report, "began") for report in self.main]
        return [at - times[0] for at in times]

    @cached_property
    def frames(self) -> list[Frame]:
        """The stream's frames."""
        return read_frames(self.body)

    @cached_property
    def objects(self) -> list[JSON]:
        """The JSON objects of the frames, or the only one of an unstreamed response."""
        if not self.scenario.stream or self.status != 200:
            return [json.loads(self.body)]
        return [json.loads(frame.data) for frame in self.frames if frame.data != b"[DONE]"]

    @property
    def done(self) -> bool:
        """True if the client sees the answer as complete."""
        if self.scenario.stream:
            return b"[DONE]" in self.body
        return self.status == 200

    @property
    def text(self) -> str:
        """The text that the client received."""
        if self.scenario.stream:
            return text_of(self.frames if self.done else self.frames[:-1])
        choices = self.objects[0]["choices"]
        assert isinstance(choices, list)
        return str(choices[0]["message"]["content"])

    @property
    def error(self) -> JSON:
        """The only error that the client received."""
        if self.scenario.stream and self.status == 200:
            assert sum("error" in document for document in self.objects) == 1
            return error_of(self.frames)
        error = self.objects[0]["error"]
        assert isinstance(error, dict)
        return error

    @property
    def models(self) -> list[object]:
        """The distinct `model` values that the client received, in order."""
        return list(dict.fromkeys(document["model"] for document in self.objects))

    @property
    def usage(self) -> tuple[int, int]:
        """Input and output tokens as reported to the client."""
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
        """The recorded attempts."""
        attempts = self.turn["attempts"]
        assert isinstance(attempts, list)
        return attempts

    @property
    def results(self) -> list[tuple[object, object]]:
        """Provider and result of each attempt."""
        return [(attempt["provider"], attempt["result"]) for attempt in self.attempts]

    @property
    def recorded_usage(self) -> tuple[int, int, bool]:
        """Recorded input and output tokens, and the `estimated` flag."""
        usage = self.turn["usage"]
        assert isinstance(usage, dict)
        return usage["input_tokens"], usage["output_tokens"], usage["estimated"]


async def run_scenario(
    server: Server, upstream: Process, scenario: Scenario, number: int = 1
) -> ScenarioResult:
    """Request the scenario's model once and collect the response, the record and the reports."""
    user = f"{scenario.name}.{number}".replace(" ", "-")
    options = {"include_usage": True} if scenario.stream else None
    form = {"type": "json_object"} if scenario.structured else None
    asked_at = time.monotonic()
    async with open_chat(
        server,
        scenario.name,
        stream=scenario.stream,
        user=user,
        stream_options=options,
        response_format=form,
    ) as call:
        status = await call.head()
        body = await call.read_all()
        ended_at = time.monotonic()
        assert call.complete, body[-200:]
    requests = await reports(upstream, user)
    return ScenarioResult(
        scenario=scenario,
        status=status,
        headers=call.headers,
        body=body,
        asked_at=asked_at,
        ended_at=ended_at,
        turn=await turn(server, call.turn_id),
        main=[report for report in requests if report["model"] == scenario.main],
        spare=[report for report in requests if report["model"] == scenario.spare],
        main_answer=await fetch_full_answer(upstream, scenario.name, scenario.tokens),
        spare_answer=await fetch_full_answer(
            upstream, scenario.voice or scenario.name, scenario.tokens
        ),
    )


async def fetch_full_answer(upstream: Process, voice: str, tokens: int) -> FullAnswer:
    """Return the complete answer of a voice, from the provider itself."""
    model = f"{voice}:tokens={tokens},delay=0,first=0"
    async with open_chat(upstream, model, stream=False) as call:
        assert await call.head() == 200
        answer = json.loads(await call.read_all())
    usage = answer["usage"]
    return FullAnswer(
        str(answer["choices"][0]["message"]["content"]),
        (usage["prompt_tokens"], usage["completion_tokens"]),
    )


def timestamp(report: JSON, field: str) -> float:
    """Return one of the times of a report; assert that it is set."""
    at = report[field]
    assert isinstance(at, float), (field, report)
    return at
