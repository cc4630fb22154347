"""Tests of the report: medians, ratios, and values that are not shown as figures."""

import pytest

from bench.plan import Result
from bench.report import build, median_interval, paired_table, table


def paced(us: float, *, problems: int = 0) -> dict[str, Result]:
    return {"paced": Result(cpu_s=us / 1000, chunks=1000, problem_count=problems)}


def test_report_has_medians_and_ratio_to_yardstick() -> None:
    rounds = {
        "yardstick": [paced(100), paced(90), paced(300)],
        "trouper": [paced(110), paced(120), paced(130)],
    }
    report = build(rounds, {"yardstick": [], "trouper": []}, {})
    assert report.medians["paced_us"] == {"yardstick": 100.0, "trouper": 120.0}
    assert report.ratios["paced_us"]["yardstick"]["trouper"] == 1.2
    assert "1.20" in table(report)


def test_each_yardstick_has_its_own_ratios() -> None:
    rounds = {"yardstick": [paced(100)], "unbounded": [paced(240)], "trouper": [paced(120)]}
    report = build(rounds, {name: [] for name in rounds}, {})
    titles, _, *_ = table(report).splitlines()
    assert "trouper ÷ yardstick  trouper ÷ unbounded" in titles
    assert report.ratios["paced_us"]["unbounded"] == {
        "yardstick": 0.4167,
        "unbounded": 1.0,
        "trouper": 0.5,
    }


def test_round_with_problems_has_no_figure() -> None:
    rounds = {"trouper": [paced(1, problems=1), paced(120)], "litellm": [paced(1, problems=5)]}
    report = build(rounds, {"trouper": ["lost"], "litellm": ["lost"]}, {})
    assert report.medians["paced_us"] == {"trouper": 120.0, "litellm": "failed"}
    assert report.rounds["paced_us"]["trouper"] == ["failed", 120.0]


def test_connection_that_never_closes_counts_as_infinite_latency() -> None:
    results = {"leave_whole": Result(abort_ms=[1.0, 1.0], never=3)}
    report = build({"yardstick": [results]}, {"yardstick": []}, {})
    assert report.medians["leave_whole_p50"] == {"yardstick": "never"}
    assert report.ratios["leave_whole_p50"]["yardstick"] == {"yardstick": None}


@pytest.mark.parametrize(("count", "rank"), [(5, None), (6, 1), (9, 2), (20, 6)])
def test_interval_of_the_median_is_that_of_the_sign_test(count: int, rank: int | None) -> None:
    assert median_interval(count) == rank


def test_checkouts_are_compared_round_by_round() -> None:
    """A machine that gets slower during the run does not change the ratio."""
    slowing = [100, 200, 400, 800, 1600, 3200]
    rounds = {
        "trouper": [paced(1.1 * us) for us in slowing],
        "against": [paced(us) for us in slowing],
    }
    report = build(rounds, {name: [] for name in rounds}, {})
    ratio = report.paired["paced_us"]
    assert (ratio.median, ratio.low, ratio.high) == pytest.approx((1.1, 1.1, 1.1))
    assert "1.10" in paired_table(report)
