"""Providers that fail in every way there is, and what the client makes of it.

The server and the provider that misbehaves on purpose are processes of their own. All scenarios are
played once, before the first test; each row of the table is a test that looks at what came of it.
"""

from collections.abc import Iterator
from itertools import pairwise

import pytest
import trio

from tests.live.client import JSON, following, live_turns, metrics
from tests.live.fault_run import PAUSE_S, Run, was_answered_by_main
from tests.live.fault_table import (
    BREAKS,
    BROKEN_THEN_DOWN,
    BROKEN_TWICE,
    CONTEXT_FULL,
    DOWN,
    FAILED_OVER,
    HEALED,
    HEALTHY,
    LEARNT,
    LONG,
    ONCE,
    OUTAGES,
    POLICY,
    PREFILLED,
    REFUSAL,
    RESUMES,
    STRUCTURED,
    SURVIVED,
    TRIES,
    WAYS,
    at_once,
    behind_a_full_stop,
    breaking,
    continued,
    handed_over,
    in_other_words,
)
from tests.live.faults import (
    BUDGET_S,
    FIRST_TOKEN_S,
    IDLE_S,
    PRICE,
    TOKENS,
    Played,
    Scenario,
    play,
    seconds,
    serving_faults,
)
from tests.live.frames import raw
from tests.live.harness import Process

FIRST_BYTE_S = 30.0
RECOVERS_S = 60.0
"""How long an outage lasts."""
BACK_WITHIN_S = 30.0
PROBES = 6
"""How often a route that is down is asked at most, until it is known to be up."""
PROMPTLY_S = 2.0
TOKEN_S = 0.02
"""From one token of a simulated model to the next."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, upstream: Process) -> Iterator[Run]:
    """Every scenario, played before the first test."""
    scenarios = [*ONCE, *OUTAGES, LEARNT, HEALTHY]
    with serving_faults(tmp_path_factory.mktemp("faults"), upstream, scenarios) as server:
        run = Run(server, upstream)
        trio.run(run.play_all)
        yield run


def check_whole(played: Played, by: str) -> None:
    """It is the whole answer of this route alone, which is all that is paid for."""
    said = played.of_main if by == "main" else played.of_spare
    model = played.scenario.main if by == "main" else played.scenario.spare
    assert (played.status, played.done) == (200, True)
    assert played.text == played.turn["text"] == said.text
    assert (played.turn["status"], played.turn["reason"]) == ("completed", "stop")
    assert (played.models, played.turn["upstream_model"]) == ([model], model)
    assert (played.turn["provider"], played.results[-1]) == (by, (by, "answered"))
    check_bill(played, *said.usage)


def check_bill(played: Played, input_tokens: int, output_tokens: int) -> None:
    """What the client is told that it is charged, and what is on record."""
    assert played.usage == (input_tokens, output_tokens)
    assert played.recorded_usage == (input_tokens, output_tokens, False)
    cost = input_tokens * PRICE["input"] + output_tokens * PRICE["output"]
    assert played.turn["cost_micros"] == cost


def tokens_of(attempt: JSON) -> tuple[object, object]:
    """What the attempt took, as far as it is known."""
    return attempt["input_tokens"], attempt["output_tokens"]


def ids(rows: list[Scenario]) -> list[str]:
    """The names of tests."""
    return [row.name for row in rows]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", HEALED, ids=ids(HEALED))
def test_a_fault_that_passes_is_sat_out_on_the_same_route(
    run: Run, row: Scenario, way: str
) -> None:
    played = run[WAYS[way](row).name]
    check_whole(played, "main")
    assert (len(played.main), len(played.spare)) == (2, 0)
    assert played.headers["x-trouper-route"] == f"main/{played.scenario.main}"
    *failed, answered = played.attempts
    # A connection that had been idle may have been closed meanwhile: its reset is no attempt.
    assert len(failed) == 1 or row.name == "reset once"
    assert all(tokens_of(attempt) == (None, None) for attempt in failed)
    assert tokens_of(answered) == played.of_main.usage


@pytest.mark.parametrize("way", WAYS)
def test_a_retry_after_is_waited_for(run: Run, way: str) -> None:
    played = run[WAYS[way](HEALED[0]).name]
    assert 2.0 <= played.began[1] < 3.0


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", FAILED_OVER, ids=ids(FAILED_OVER))
def test_a_fault_that_stays_is_failed_over(run: Run, row: Scenario, way: str) -> None:
    played = run[WAYS[way](row).name]
    check_whole(played, "spare")
    tries = TRIES.get(row.name, 1)
    assert [provider for provider, _ in played.results] == ["main"] * tries + ["spare"]
    assert len(played.main) == tries or row.name == "reset always"
    assert len(played.main) <= 6
    assert len(played.spare) == 1
    assert played.warnings == []
    if row.name not in LONG:
        assert played.headers["x-trouper-route"] == f"spare/{played.scenario.spare}"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", FAILED_OVER, ids=ids(FAILED_OVER))
def test_failed_attempts_are_on_record_and_not_on_the_bill(
    run: Run, row: Scenario, way: str
) -> None:
    played = run[WAYS[way](row).name]
    *failed, answered = played.attempts
    for attempt in failed:
        assert attempt["result"] != "answered"
        assert attempt["message"]
        input_tokens, output_tokens = tokens_of(attempt)
        assert not output_tokens
        assert (input_tokens is not None) is (row.name == "late first token")
    assert tokens_of(answered) == played.of_spare.usage


@pytest.mark.parametrize("way", WAYS)
def test_429s_are_no_tight_loop(run: Run, way: str) -> None:
    played = run[WAYS[way](FAILED_OVER[0]).name]
    assert sum(after < 3.0 for after in played.began) <= 4
    assert all(later - earlier > 0.3 for earlier, later in pairwise(played.began))
    assert len(played.main) <= 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "limit_s"), [("silent", FIRST_BYTE_S), ("late first token", FIRST_TOKEN_S)]
)
def test_a_silent_route_is_left_at_its_limit(run: Run, name: str, limit_s: float, way: str) -> None:
    (row,) = (row for row in FAILED_OVER if row.name == name)
    played = run[WAYS[way](row).name]
    (report,) = played.main
    since = "began" if name == "silent" else "head_at"
    left_at = seconds(report, "closed_at")
    assert left_at - played.asked_at >= limit_s
    assert left_at - seconds(report, since) < limit_s + 0.5
    assert seconds(played.spare[0], "began") - left_at < 0.5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("row", SURVIVED, ids=ids(SURVIVED))
def test_what_is_whole_in_spite_of_it_ends_promptly(run: Run, row: Scenario, way: str) -> None:
    played = run[WAYS[way](row).name]
    check_whole(played, "main")
    assert (len(played.main), len(played.spare)) == (1, 0)
    last_token_at = seconds(played.main[0], "first_token_at") + (TOKENS - 1) * TOKEN_S
    assert played.ended_at - last_token_at < PROMPTLY_S
    if played.scenario.stream:
        expected = ["malformed_frame"] if row.name == "invalid event" else []
        assert played.warnings == expected


@pytest.mark.parametrize("resume", RESUMES)
@pytest.mark.parametrize("what", BREAKS)
def test_a_broken_answer_is_continued(run: Run, what: str, resume: str) -> None:
    played = run[continued(what, resume).name]
    check_continued(played)
    assert played.results == [("main", BREAKS[what][1]), ("spare", "answered")]
    assert (len(played.main), len(played.spare)) == (1, 1)


def check_continued(played: Played) -> None:
    """It is the whole answer, once; and that it has a seam is said."""
    assert (played.status, played.done) == (200, True)
    assert played.text == played.turn["text"] == played.of_main.text
    assert (played.turn["status"], played.turn["reason"]) == ("completed", "stop")
    assert played.models == [played.scenario.main, played.scenario.spare]
    assert played.turn["upstream_model"] == played.scenario.spare
    assert len(played.warnings) == 1
    assert played.warnings[0] in {"continued", "seam_unproven"}
    check_continued_bill(played)


def check_continued_bill(played: Played) -> None:
    """The client pays for its prompt and its answer, about, and once."""
    input_tokens, output_tokens, estimated = played.recorded_usage
    assert estimated
    assert played.usage == (input_tokens, output_tokens)
    first, last = played.attempts[0], played.attempts[-1]
    assert input_tokens == first["input_tokens"]
    assert abs(output_tokens - TOKENS) <= 0.2 * TOKENS
    assert last["output_tokens"] == played.spare[-1]["tokens_sent"]


@pytest.mark.parametrize("what", BREAKS)
def test_other_words_are_never_spliced(run: Run, what: str) -> None:
    played = run[in_other_words(breaking(what)).name]
    assert not played.done
    assert played.text == played.turn["text"] == played.main[0]["text_sent"]
    assert played.of_main.text.startswith(played.text)
    assert played.turn["status"] == "failed"
    assert played.results == [("main", BREAKS[what][1]), ("spare", "misfit")]
    assert "could not be continued" in str(played.error["message"])
    input_tokens, output_tokens, _ = played.recorded_usage
    assert (input_tokens, output_tokens) == tokens_of(played.attempts[0])
    assert played.turn["provider"] == "main"


def test_json_is_never_spliced(run: Run) -> None:
    played = run[STRUCTURED.name]
    assert played.error["code"] == "truncated"
    assert played.text == played.main[0]["text_sent"]
    assert played.text.startswith('{"')
    assert (len(played.main), len(played.spare)) == (1, 0)


@pytest.mark.parametrize("resume", RESUMES)
def test_an_answer_that_broke_off_behind_a_sentence_is_continued(run: Run, resume: str) -> None:
    played = run[behind_a_full_stop(resume).name]
    assert str(played.main[0]["text_sent"]).endswith(".")
    check_continued(played)


def test_behind_a_sentence_a_seam_that_nothing_proves_is_announced(run: Run) -> None:
    played = run[behind_a_full_stop("other").name]
    assert played.warnings == ["seam_unproven"]
    assert played.text == f"{played.main[0]['text_sent']} {played.spare[0]['text_sent']}"
    assert played.attempts[1]["message"] == "continued the answer (appended)"


@pytest.mark.parametrize("what", BREAKS)
def test_what_nobody_has_seen_is_asked_for_from_scratch(run: Run, what: str) -> None:
    played = run[at_once(breaking(what)).name]
    check_whole(played, "spare")
    assert played.results == [("main", BREAKS[what][1]), ("spare", "answered")]
    assert played.headers["x-trouper-route"] == f"spare/{played.scenario.spare}"


@pytest.mark.parametrize("way", [*RESUMES, "other", "whole"])
def test_a_stall_ends_within_the_idle_limit(run: Run, way: str) -> None:
    name = continued("stall", way).name if way in RESUMES else WAYS[way](breaking("stall")).name
    played = run[name]
    (report,) = played.main
    last_token_at = seconds(report, "first_token_at") + 19 * TOKEN_S
    silent_s = seconds(report, "closed_at") - last_token_at
    assert IDLE_S - 0.1 <= silent_s < IDLE_S + 1.0


@pytest.mark.parametrize("resume", RESUMES)
def test_a_refused_prefill_is_not_told(run: Run, resume: str) -> None:
    played = run[handed_over(resume).name]
    check_continued(played)
    assert played.results == [("main", "truncated"), ("spare", "rejected"), ("spare", "answered")]
    assert REFUSAL not in played.body
    assert (len(played.main), len(played.spare)) == (1, 2)
    assert played.attempts[1]["status_code"] == 400


def test_after_a_refused_prefill_other_words_do_not_fit_either(run: Run) -> None:
    played = run[handed_over("new").name]
    assert not played.done
    assert played.text == played.main[0]["text_sent"]
    assert played.results == [("main", "truncated"), ("spare", "rejected"), ("spare", "misfit")]
    assert REFUSAL not in played.body


def test_a_refused_prefill_is_learnt(run: Run) -> None:
    first, second = run.all(LEARNT.name)
    check_continued(first)
    check_continued(second)
    assert (len(first.spare), len(second.spare)) == (2, 1)


def test_a_prefill_is_continued(run: Run) -> None:
    played = run[PREFILLED.name]
    check_continued(played)
    assert played.warnings == ["continued"]
    assert (len(played.main), len(played.spare)) == (1, 1)


def test_a_full_context_goes_to_no_smaller_window(run: Run) -> None:
    played = run[CONTEXT_FULL.name]
    assert (len(played.main), len(played.spare)) == (1, 0)
    assert (played.status, played.error["code"]) == (400, "context_length_exceeded")


@pytest.mark.parametrize("row", [POLICY, at_once(POLICY)], ids=["stream", "whole"])
def test_a_content_filter_has_the_last_word(run: Run, row: Scenario) -> None:
    played = run[row.name]
    assert (len(played.main), len(played.spare)) == (1, 0)
    assert (played.status, played.error["code"]) == (400, "content_policy_violation")
    assert played.error["message"] == "The request was rejected by the safety system."
    assert played.turn["usage"] is None


@pytest.mark.parametrize("row", DOWN, ids=ids(DOWN))
def test_with_every_route_down_there_is_one_clear_error(run: Run, row: Scenario) -> None:
    played = run[row.name]
    assert not played.done
    assert played.took_s < BUDGET_S + 1.0
    assert played.turn["error"] is not None
    message = str(played.error["message"])
    assert f"main/{row.main}" in message
    assert f"spare/{row.spare}" in message
    assert played.turn["usage"] is None


def test_an_answer_that_is_cut_twice_is_not_whole(run: Run) -> None:
    played = run[BROKEN_TWICE.name]
    assert played.error["code"] == "truncated"
    assert played.of_main.text.startswith(played.text)
    assert len(played.text) > len(str(played.main[0]["text_sent"]))
    assert played.results == [("main", "truncated"), ("spare", "truncated")]


def test_the_error_of_a_continuation_is_not_the_clients(run: Run) -> None:
    played = run[BROKEN_THEN_DOWN.name]
    assert played.error["code"] == "truncated"
    assert played.text == played.main[0]["text_sent"]
    assert played.results == [("main", "truncated"), *[("spare", "server_error")] * 2]


@pytest.mark.parametrize("row", OUTAGES, ids=ids(OUTAGES))
def test_an_outage_is_not_noticed_and_its_end_is(run: Run, row: Scenario) -> None:
    calls = run.all(row.name)
    for played in calls:
        check_whole(played, "main" if was_answered_by_main(played) else "spare")
    down_at = seconds(calls[0].main[0], "began")
    asked = sorted(seconds(report, "began") - down_at for call in calls for report in call.main)
    back = min(played.asked_at for played in calls if was_answered_by_main(played)) - down_at
    assert RECOVERS_S - PAUSE_S <= back < RECOVERS_S + BACK_WITHIN_S, asked
    assert sum(at < back - 1 for at in asked) <= PROBES, asked


@pytest.mark.parametrize(
    "name",
    [
        *[continued(what, "overlap").name for what in BREAKS],
        *[in_other_words(breaking(what)).name for what in BREAKS],
        *[in_other_words(row).name for row in FAILED_OVER],
    ],
)
async def test_who_comes_back_sees_the_same_frames(run: Run, name: str) -> None:
    played = run[name]
    async with following(run.server, str(played.turn["id"])) as call:
        again = await call.all_frames()
    assert raw(again) == raw(played.frames)


async def test_afterwards_the_server_is_well(run: Run) -> None:
    assert await live_turns(run.server) == 0
    samples = await metrics(run.server)
    assert not [
        name for name, value in samples.items() if value and name.startswith("trouper_bugs_total")
    ]
    played = await play(run.server, run.upstream, HEALTHY)
    check_whole(played, "main")
