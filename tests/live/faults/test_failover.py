"""Failing providers: retry, failover, continuation, and what the client receives.

The server and the failing provider run in separate processes. A module fixture runs all scenarios
of `fault_table` once; each test checks the results of one row.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio

from tests.support.live.fault_run import PAUSE_S, ScenarioRun, answered_by_main
from tests.support.live.fault_scenarios import (
    BUDGET_S,
    FIRST_TOKEN_S,
    IDLE_S,
    PRICE,
    TOKENS,
    Scenario,
    ScenarioResult,
    run_scenario,
    serving_faults,
    timestamp,
)
from tests.support.live.fault_table import (
    ALL_DOWN,
    CONTEXT_FULL,
    HEALTHY,
    INTERRUPTED_THEN_DOWN,
    INTERRUPTED_TWICE,
    INTERRUPTIONS,
    OUTAGES,
    PERSISTENT,
    POLICY,
    PREFILLED,
    PRIMARY_REQUESTS,
    REFUSAL,
    REFUSAL_REMEMBERED,
    RESUMES,
    SINGLE_REQUEST,
    SLOW_NAMES,
    STRUCTURED,
    TOLERATED,
    TRANSIENT,
    VARIANTS,
    continued,
    different_answer,
    interrupted,
    interrupted_after_sentence,
    prefill_refused,
    unstreamed,
)
from tests.support.live.harness import Process
from tests.support.live.http_client import JSON, live_turns, metrics, open_turn_events
from tests.support.live.sse_frames import raw

FIRST_BYTE_S = 30.0
RECOVERS_S = 60.0
"""Duration of an outage, in seconds."""
BACK_WITHIN_S = 30.0
"""Limit for using the primary again after an outage, in seconds: the longest cooldown is 20."""
PROBES = 5 * 3 + 3 * 2
"""Limit of requests to a route that is down: three for each of the five calls that open its breaker
(the transport repeats a request on a reused connection), two for each of the three probes that the
cooldowns of 5, 10 and 20 seconds leave in a minute."""
PROMPTLY_S = 2.0
TOKEN_S = 0.02
"""Seconds between tokens of a simulated model."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[ScenarioRun]:
    """Run all scenarios; their server keeps running during the tests."""
    scenarios = [*SINGLE_REQUEST, *OUTAGES, REFUSAL_REMEMBERED, HEALTHY]
    with serving_faults(tmp_path_factory.mktemp("faults"), upstream, scenarios) as server:
        run = ScenarioRun(server, upstream)
        trio.run(run.run_all)
        yield run


def check_whole(result: ScenarioResult, by: str) -> None:
    """Assert that the client received, and was charged for, exactly this route's answer."""
    answer = result.main_answer if by == "main" else result.spare_answer
    model = result.scenario.main if by == "main" else result.scenario.spare
    assert (result.status, result.done) == (200, True)
    assert result.text == result.turn["text"] == answer.text
    assert (result.turn["status"], result.turn["reason"]) == ("completed", "stop")
    assert (result.models, result.turn["upstream_model"]) == ([model], model)
    assert (result.turn["provider"], result.results[-1]) == (by, (by, "answered"))
    check_bill(result, *answer.usage)


def check_bill(result: ScenarioResult, input_tokens: int, output_tokens: int) -> None:
    """Assert that the reported and the recorded usage match these counts."""
    assert result.usage == (input_tokens, output_tokens)
    assert result.recorded_usage == (input_tokens, output_tokens, False)
    cost = input_tokens * PRICE["input"] + output_tokens * PRICE["output"]
    assert result.turn["cost_micros"] == cost


def tokens_of(attempt: JSON) -> tuple[object, object]:
    """Return the input and output tokens of an attempt; None if unknown."""
    return attempt["input_tokens"], attempt["output_tokens"]


def ids(rows: list[Scenario]) -> list[str]:
    """Return the pytest ids of scenarios."""
    return [row.name for row in rows]


@pytest.mark.parametrize("way", VARIANTS)
@pytest.mark.parametrize("row", TRANSIENT, ids=ids(TRANSIENT))
def test_transient_fault_is_retried_on_the_same_route(
    run: ScenarioRun, row: Scenario, way: str
) -> None:
    result = run[VARIANTS[way](row).name]
    check_whole(result, "main")
    assert (len(result.main), len(result.spare)) == (2, 0)
    assert result.headers["x-trouper-route"] == f"main/{result.scenario.main}"
    *failed, answered = result.attempts
    # A reset of a reused idle connection is repeated on a new one and not counted as an attempt.
    assert len(failed) == 1 or row.name == "reset once"
    assert all(tokens_of(attempt) == (None, None) for attempt in failed)
    assert tokens_of(answered) == result.main_answer.usage


@pytest.mark.parametrize("way", VARIANTS)
def test_retry_after_is_respected(run: ScenarioRun, way: str) -> None:
    result = run[VARIANTS[way](TRANSIENT[0]).name]
    assert 2.0 <= result.main_request_times[1] < 3.0


@pytest.mark.parametrize("way", VARIANTS)
@pytest.mark.parametrize("row", PERSISTENT, ids=ids(PERSISTENT))
def test_persistent_fault_fails_over(run: ScenarioRun, row: Scenario, way: str) -> None:
    result = run[VARIANTS[way](row).name]
    check_whole(result, "spare")
    tries = PRIMARY_REQUESTS.get(row.name, 1)
    assert [provider for provider, _ in result.results] == ["main"] * tries + ["spare"]
    assert len(result.main) == tries or row.name == "reset always"
    assert len(result.main) <= 6
    assert len(result.spare) == 1
    assert result.warnings == []
    if row.name not in SLOW_NAMES:
        assert result.headers["x-trouper-route"] == f"spare/{result.scenario.spare}"


@pytest.mark.parametrize("way", VARIANTS)
@pytest.mark.parametrize("row", PERSISTENT, ids=ids(PERSISTENT))
def test_failed_attempts_are_recorded_but_not_charged(
    run: ScenarioRun, row: Scenario, way: str
) -> None:
    result = run[VARIANTS[way](row).name]
    *failed, answered = result.attempts
    for attempt in failed:
        assert attempt["result"] != "answered"
        assert attempt["message"]
        input_tokens, output_tokens = tokens_of(attempt)
        assert not output_tokens
        assert (input_tokens is not None) is (row.name == "late first token")
    assert tokens_of(answered) == result.spare_answer.usage


@pytest.mark.parametrize("way", VARIANTS)
def test_429_retries_back_off(run: ScenarioRun, way: str) -> None:
    result = run[VARIANTS[way](PERSISTENT[0]).name]
    assert sum(after < 3.0 for after in result.main_request_times) <= 4
    assert all(later - earlier > 0.3 for earlier, later in pairwise(result.main_request_times))
    assert len(result.main) <= 6


@pytest.mark.parametrize("way", VARIANTS)
@pytest.mark.parametrize(
    ("name", "limit_s"), [("silent", FIRST_BYTE_S), ("late first token", FIRST_TOKEN_S)]
)
def test_silent_route_is_abandoned_at_its_timeout(
    run: ScenarioRun, name: str, limit_s: float, way: str
) -> None:
    (row,) = (row for row in PERSISTENT if row.name == name)
    result = run[VARIANTS[way](row).name]
    (report,) = result.main
    since = "began" if name == "silent" else "head_at"
    left_at = timestamp(report, "closed_at")
    assert left_at - result.asked_at >= limit_s
    assert left_at - timestamp(report, since) < limit_s + 0.5
    assert timestamp(result.spare[0], "began") - left_at < 0.5


@pytest.mark.parametrize("way", VARIANTS)
@pytest.mark.parametrize("row", TOLERATED, ids=ids(TOLERATED))
def test_answer_that_is_complete_despite_a_fault_ends_promptly(
    run: ScenarioRun, row: Scenario, way: str
) -> None:
    result = run[VARIANTS[way](row).name]
    check_whole(result, "main")
    assert (len(result.main), len(result.spare)) == (1, 0)
    last_token_at = timestamp(result.main[0], "first_token_at") + (TOKENS - 1) * TOKEN_S
    assert result.ended_at - last_token_at < PROMPTLY_S
    if result.scenario.stream:
        expected = ["malformed_frame"] if row.name == "invalid event" else []
        assert result.warnings == expected


@pytest.mark.parametrize("resume", RESUMES)
@pytest.mark.parametrize("fault", INTERRUPTIONS)
def test_interrupted_answer_is_continued(run: ScenarioRun, fault: str, resume: str) -> None:
    result = run[continued(fault, resume).name]
    check_continued(result)
    assert result.results == [("main", INTERRUPTIONS[fault][1]), ("spare", "answered")]
    assert (len(result.main), len(result.spare)) == (1, 1)


def check_continued(result: ScenarioResult) -> None:
    """Assert that the client received the complete answer once, with a warning about the seam."""
    assert (result.status, result.done) == (200, True)
    assert result.text == result.turn["text"] == result.main_answer.text
    assert (result.turn["status"], result.turn["reason"]) == ("completed", "stop")
    assert result.models == [result.scenario.main, result.scenario.spare]
    assert result.turn["upstream_model"] == result.scenario.spare
    assert len(result.warnings) == 1
    assert result.warnings[0] in {"continued", "seam_unproven"}
    check_continued_bill(result)


def check_continued_bill(result: ScenarioResult) -> None:
    """Assert that the client is charged once for its prompt, and for the answer within 20 %."""
    input_tokens, output_tokens, estimated = result.recorded_usage
    assert estimated
    assert result.usage == (input_tokens, output_tokens)
    first, last = result.attempts[0], result.attempts[-1]
    assert input_tokens == first["input_tokens"]
    assert abs(output_tokens - TOKENS) <= 0.2 * TOKENS
    assert last["output_tokens"] == result.spare[-1]["tokens_sent"]


@pytest.mark.parametrize("fault", INTERRUPTIONS)
def test_different_answer_is_never_spliced(run: ScenarioRun, fault: str) -> None:
    result = run[different_answer(interrupted(fault)).name]
    assert not result.done
    assert result.text == result.turn["text"] == result.main[0]["text_sent"]
    assert result.main_answer.text.startswith(result.text)
    assert result.turn["status"] == "failed"
    assert result.results == [("main", INTERRUPTIONS[fault][1]), ("spare", "misfit")]
    assert "could not be continued" in str(result.error["message"])
    input_tokens, output_tokens, _ = result.recorded_usage
    assert (input_tokens, output_tokens) == tokens_of(result.attempts[0])
    assert result.turn["provider"] == "main"


def test_json_answer_is_never_spliced(run: ScenarioRun) -> None:
    result = run[STRUCTURED.name]
    assert result.error["code"] == "truncated"
    assert result.text == result.main[0]["text_sent"]
    assert result.text.startswith('{"')
    assert (len(result.main), len(result.spare)) == (1, 0)


@pytest.mark.parametrize("resume", RESUMES)
def test_answer_interrupted_after_a_sentence_is_continued(run: ScenarioRun, resume: str) -> None:
    result = run[interrupted_after_sentence(resume).name]
    assert str(result.main[0]["text_sent"]).endswith(".")
    check_continued(result)


def test_unproven_seam_after_a_sentence_is_warned_about(run: ScenarioRun) -> None:
    result = run[interrupted_after_sentence("other").name]
    assert result.warnings == ["seam_unproven"]
    assert result.text == f"{result.main[0]['text_sent']} {result.spare[0]['text_sent']}"
    assert result.attempts[1]["message"] == "continued the answer (appended)"


@pytest.mark.parametrize("fault", INTERRUPTIONS)
def test_unstreamed_answer_is_requested_again_in_full(run: ScenarioRun, fault: str) -> None:
    result = run[unstreamed(interrupted(fault)).name]
    check_whole(result, "spare")
    assert result.results == [("main", INTERRUPTIONS[fault][1]), ("spare", "answered")]
    assert result.headers["x-trouper-route"] == f"spare/{result.scenario.spare}"


@pytest.mark.parametrize("way", [*RESUMES, "other", "whole"])
def test_stall_ends_at_the_idle_timeout(run: ScenarioRun, way: str) -> None:
    name = (
        continued("stall", way).name if way in RESUMES else VARIANTS[way](interrupted("stall")).name
    )
    result = run[name]
    (report,) = result.main
    last_token_at = timestamp(report, "first_token_at") + 19 * TOKEN_S
    silent_s = timestamp(report, "closed_at") - last_token_at
    assert IDLE_S - 0.1 <= silent_s < IDLE_S + 1.0


@pytest.mark.parametrize("resume", RESUMES)
def test_refused_prefill_is_hidden_from_the_client(run: ScenarioRun, resume: str) -> None:
    result = run[prefill_refused(resume).name]
    check_continued(result)
    assert result.results == [("main", "truncated"), ("spare", "rejected"), ("spare", "answered")]
    assert REFUSAL not in result.body
    assert (len(result.main), len(result.spare)) == (1, 2)
    assert result.attempts[1]["status_code"] == 400


def test_different_answer_after_a_refused_prefill_is_not_spliced(run: ScenarioRun) -> None:
    result = run[prefill_refused("new").name]
    assert not result.done
    assert result.text == result.main[0]["text_sent"]
    assert result.results == [("main", "truncated"), ("spare", "rejected"), ("spare", "misfit")]
    assert REFUSAL not in result.body


def test_refused_prefill_is_remembered(run: ScenarioRun) -> None:
    first, second = run.all(REFUSAL_REMEMBERED.name)
    check_continued(first)
    check_continued(second)
    assert (len(first.spare), len(second.spare)) == (2, 1)


def test_prefill_is_continued(run: ScenarioRun) -> None:
    result = run[PREFILLED.name]
    check_continued(result)
    assert result.warnings == ["continued"]
    assert (len(result.main), len(result.spare)) == (1, 1)


def test_full_context_does_not_fail_over_to_a_smaller_window(run: ScenarioRun) -> None:
    result = run[CONTEXT_FULL.name]
    assert (len(result.main), len(result.spare)) == (1, 0)
    assert (result.status, result.error["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize("row", [POLICY, unstreamed(POLICY)], ids=["stream", "whole"])
def test_content_filter_does_not_fail_over(run: ScenarioRun, row: Scenario) -> None:
    result = run[row.name]
    assert (len(result.main), len(result.spare)) == (1, 0)
    assert (result.status, result.error["code"]) == (400, "content_filter")
    assert result.error["message"] == "The request was rejected by the safety system."
    assert result.turn["usage"] is None


@pytest.mark.parametrize("row", ALL_DOWN, ids=ids(ALL_DOWN))
def test_all_routes_down_gives_one_error_that_names_them(run: ScenarioRun, row: Scenario) -> None:
    result = run[row.name]
    assert not result.done
    assert result.duration_s < BUDGET_S + 1.0
    assert result.turn["error"] is not None
    message = str(result.error["message"])
    assert f"main/{row.main}" in message
    assert f"spare/{row.spare}" in message
    assert result.turn["usage"] is None


def test_answer_interrupted_twice_is_incomplete(run: ScenarioRun) -> None:
    result = run[INTERRUPTED_TWICE.name]
    assert result.error["code"] == "truncated"
    assert result.main_answer.text.startswith(result.text)
    assert len(result.text) > len(str(result.main[0]["text_sent"]))
    assert result.results == [("main", "truncated"), ("spare", "truncated")]


def test_client_gets_the_first_error_when_the_continuation_fails(run: ScenarioRun) -> None:
    result = run[INTERRUPTED_THEN_DOWN.name]
    assert result.error["code"] == "truncated"
    assert result.text == result.main[0]["text_sent"]
    assert result.results == [("main", "truncated"), *[("spare", "server_error")] * 2]


@pytest.mark.parametrize("row", OUTAGES, ids=ids(OUTAGES))
def test_outage_is_hidden_and_recovery_is_detected(run: ScenarioRun, row: Scenario) -> None:
    calls = run.all(row.name)
    for result in calls:
        check_whole(result, "main" if answered_by_main(result) else "spare")
    down_at = timestamp(calls[0].main[0], "began")
    requested_at = sorted(
        timestamp(report, "began") - down_at for call in calls for report in call.main
    )
    back = min(result.asked_at for result in calls if answered_by_main(result)) - down_at
    assert RECOVERS_S - PAUSE_S <= back < RECOVERS_S + BACK_WITHIN_S, requested_at
    assert sum(at < back - 1 for at in requested_at) <= PROBES, requested_at


@pytest.mark.parametrize(
    "name",
    [
        *[continued(fault, "overlap").name for fault in INTERRUPTIONS],
        *[different_answer(interrupted(fault)).name for fault in INTERRUPTIONS],
        *[different_answer(row).name for row in PERSISTENT],
    ],
)
async def test_replay_gives_the_same_frames(run: ScenarioRun, name: str) -> None:
    result = run[name]
    async with open_turn_events(run.server, str(result.turn["id"])) as call:
        again = await call.all_frames()
    assert raw(again) == raw(result.frames)


async def test_server_is_healthy_after_all_faults(run: ScenarioRun) -> None:
    assert await live_turns(run.server) == 0
    samples = await metrics(run.server)
    assert not [
        name for name, value in samples.items() if value and name.startswith("trouper_bugs_total")
    ]
    result = await run_scenario(run.server, run.upstream, HEALTHY)
    check_whole(result, "main")
