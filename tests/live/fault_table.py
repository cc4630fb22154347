"""The faults, row by row: what the primary does, and in which ways the fallback takes over."""

from dataclasses import replace

from tests.live.faults import BUDGET_S, Scenario

HEALED = [
    Scenario("429 once", "429=2"),
    Scenario("500 once", "error=500,times=1"),
    Scenario("reset once", "refuse,times=1"),
]
"""Faults that pass: the same route answers when it is asked again."""
FAILED_OVER = [
    Scenario("429 always", "429"),
    Scenario("no time for a wait", "error=429,retry=4", total_s=3.9),
    Scenario("503 always", "error=503"),
    Scenario("reset always", "refuse"),
    Scenario("HTML", "html"),
    Scenario("silent", "silent", total_s=90.0),
    Scenario("late first token", "first=20s"),
    Scenario("context length", "context", windows=(8_000, 100_000)),
]
"""Faults before any content that do not pass: the fallback answers from scratch."""
TRIES = {"429 always": 3, "503 always": 2, "reset always": 2, "HTML": 2}
"""How often the primary is asked; once where it is not said."""
SURVIVED = [
    Scenario("invalid event", "badjson=20"),
    Scenario("no DONE", "nodone"),
    Scenario("no end", "hang"),
]
"""Faults that an answer is whole in spite of."""
BREAKS = {
    "cut": ("cut=40", "truncated"),
    "cut in a frame": ("break=40", "truncated"),
    "reset midway": ("reset=40", "truncated"),
    "no finish": ("end=40", "truncated"),
    "broken framing": ("noise=40", "truncated"),
    "error frame": ("errorframe=40,code=late", "in_stream_error"),
    "torn frame": ("torn=40", "malformed"),
    "stall": ("stall=20", "idle_timeout"),
}
"""Faults in the middle of an answer, and what the attempt is said to have failed of."""
RESUMES = ("on", "again", "overlap")
SENTENCES = {"on": 35, "again": 38, "overlap": 37, "other": 39}
"""The tokens of whole sentences that the answer of `full stop …` begins with."""
REFUSAL = b"does not support assistant message prefill"
"""What the simulated provider says where it does not continue what was begun."""


def in_same_words(row: Scenario) -> Scenario:
    """The fallback would say what the primary says."""
    return replace(row, name=f"{row.name} same", fallback="resume=on")


def in_other_words(row: Scenario) -> Scenario:
    """The fallback says something else, and begins anew whatever it is told.

    Its words depend on what it is told, so that is not left to a default.
    """
    name, voice = f"{row.name} other", f"anyone but {row.name}"
    return replace(row, name=name, voice=voice, instruction="Go on.")


def at_once(row: Scenario) -> Scenario:
    """Not streamed; the fallback says something else."""
    return replace(in_other_words(row), name=f"{row.name} whole", stream=False)


WAYS = {"same": in_same_words, "other": in_other_words, "whole": at_once}


def breaking(what: str) -> Scenario:
    """A primary that breaks off in the middle of its answer."""
    return Scenario(what, BREAKS[what][0], total_s=90.0 if what == "stall" else BUDGET_S)


def continued(what: str, resume: str) -> Scenario:
    """A fallback that goes on in the same words, in one of the ways in which models do."""
    return replace(breaking(what), name=f"{what} {resume}", fallback=f"resume={resume}")


def handed_over(resume: str) -> Scenario:
    """A fallback that refuses to continue the assistant's message, and then is told to go on."""
    row = Scenario("handed over", "cut=40", prefill=True)
    if resume == "new":
        return replace(in_other_words(row), fallback="noprefill")
    return replace(row, name=f"handed over {resume}", fallback=f"noprefill,resume={resume}")


def behind_a_full_stop(way: str) -> Scenario:
    """A primary that breaks off where the rest might as well be another answer."""
    row = Scenario(f"full stop {way}", f"cut={SENTENCES[way]}", f"resume={way}")
    return replace(in_other_words(row), name=row.name, fallback="") if way == "other" else row


CONTEXT_FULL = Scenario("smaller window", "context", windows=(100_000, 8_000))
POLICY = Scenario("policy", "policy")
PREFILLED = Scenario("prefill", "cut=40", prefill=True)
DOWN = [
    Scenario("all 503", "error=503", "error=503"),
    Scenario("all refuse", "refuse", "refuse"),
    Scenario("all 429", "error=429,retry=2", "error=429,retry=2"),
    Scenario("all silent", "silent", "silent", first_byte_s=20.0),
    Scenario("all late", "first=20s", "first=40s"),
]
STRUCTURED = Scenario("JSON", "cut=10", "resume=on", structured=True)
BROKEN_TWICE = Scenario("cut twice", "cut=40", "cut=10,resume=on")
BROKEN_THEN_DOWN = Scenario("cut, then 500", "cut=40", "error=500")
LEARNT = replace(handed_over("again"), name="learnt")
OUTAGES = [
    Scenario("503 for a minute", "error=503,for=60s"),
    Scenario("resets for a minute", "refuse,for=60s"),
    Scenario("silent for a minute", "silent,for=60s", first_byte_s=10.0),
]

ONCE = [
    *[vary(row) for row in (*HEALED, *FAILED_OVER, *SURVIVED) for vary in WAYS.values()],
    *[continued(what, resume) for what in BREAKS for resume in RESUMES],
    *[vary(breaking(what)) for what in BREAKS for vary in (in_other_words, at_once)],
    *[handed_over(resume) for resume in (*RESUMES, "new")],
    *[behind_a_full_stop(way) for way in SENTENCES],
    *[CONTEXT_FULL, POLICY, at_once(POLICY), PREFILLED, *DOWN, BROKEN_TWICE, BROKEN_THEN_DOWN],
    STRUCTURED,
]
"""Scenarios that are asked once each."""
HEALTHY = Scenario("healthy", "")
LONG = ("silent", "late first token", "stall", "all silent", "all late")


def is_long(scenario: Scenario) -> bool:
    """It waits for more than it works."""
    return scenario.name.startswith(LONG)
