"""Table of faults: settings of the primary, and the ways in which the fallback takes over.

A scenario's name is its voice, so it determines the words of its answers. Do not rename
scenarios: some counts below fit the words.
"""

from dataclasses import replace

from tests.support.live.fault_scenarios import BUDGET_S, Scenario

TRANSIENT = [
    Scenario("429 once", "429=2"),
    Scenario("500 once", "error=500,times=1"),
    Scenario("reset once", "refuse,times=1"),
]
"""Transient faults: the same route answers a retry."""
PERSISTENT = [
    Scenario("429 always", "429"),
    Scenario("no time for a wait", "error=429,retry=4", total_s=3.9),
    Scenario("503 always", "error=503"),
    Scenario("reset always", "refuse"),
    Scenario("HTML", "html"),
    Scenario("silent", "silent", total_s=90.0),
    Scenario("late first token", "first=20s"),
    Scenario("context length", "context", windows=(8_000, 100_000)),
]
"""Persistent faults before any content: the fallback answers the original request."""
PRIMARY_REQUESTS = {"429 always": 3, "503 always": 2, "reset always": 2, "HTML": 2}
"""Number of requests to the primary, where that is not one."""
TOLERATED = [
    Scenario("invalid event", "badjson=20"),
    Scenario("no DONE", "nodone"),
    Scenario("no end", "hang"),
]
"""Faults despite which the answer is complete."""
INTERRUPTIONS = {
    "cut": ("cut=40", "truncated"),
    "cut in a frame": ("break=40", "truncated"),
    "reset midway": ("reset=40", "truncated"),
    "no finish": ("end=40", "truncated"),
    "broken framing": ("noise=40", "truncated"),
    "error frame": ("errorframe=40,code=late", "in_stream_error"),
    "torn frame": ("torn=40", "malformed"),
    "stall": ("stall=20", "idle_timeout"),
}
"""Faults in the middle of an answer: settings of the primary, and the result of its attempt."""
RESUMES = ("on", "again", "overlap")
SENTENCES = {"on": 35, "again": 38, "overlap": 37, "other": 39}
"""Tokens of complete sentences at the start of the answer of each `full stop …` scenario."""
REFUSAL = b"does not support assistant message prefill"
"""The error of a simulated provider that does not support prefill."""


def same_answer(row: Scenario) -> Scenario:
    """Give the fallback the primary's words."""
    return replace(row, name=f"{row.name} same", fallback="resume=on")


def different_answer(row: Scenario) -> Scenario:
    """Give the fallback other words, and make it ignore the partial answer and start over.

    Its words depend on the continuation instruction, which is set so that a change of the
    default does not change them.
    """
    name, voice = f"{row.name} other", f"anyone but {row.name}"
    return replace(row, name=name, voice=voice, instruction="Go on.")


def unstreamed(row: Scenario) -> Scenario:
    """Do not stream; give the fallback other words."""
    return replace(different_answer(row), name=f"{row.name} whole", stream=False)


VARIANTS = {"same": same_answer, "other": different_answer, "whole": unstreamed}


def interrupted(fault: str) -> Scenario:
    """Return a scenario whose primary breaks off in the middle of its answer."""
    return Scenario(fault, INTERRUPTIONS[fault][0], total_s=90.0 if fault == "stall" else BUDGET_S)


def continued(fault: str, resume: str) -> Scenario:
    """Return a scenario whose fallback continues in the same words, in one of `RESUMES`."""
    return replace(interrupted(fault), name=f"{fault} {resume}", fallback=f"resume={resume}")


def prefill_refused(resume: str) -> Scenario:
    """Return a scenario whose fallback refuses prefill and is then sent an instruction instead."""
    row = Scenario("handed over", "cut=40", prefill=True)
    if resume == "new":
        return replace(different_answer(row), fallback="noprefill")
    return replace(row, name=f"handed over {resume}", fallback=f"noprefill,resume={resume}")


def interrupted_after_sentence(way: str) -> Scenario:
    """Return a scenario whose primary breaks off after a sentence, where any text could follow."""
    row = Scenario(f"full stop {way}", f"cut={SENTENCES[way]}", f"resume={way}")
    return replace(different_answer(row), name=row.name, fallback="") if way == "other" else row


CONTEXT_FULL = Scenario("smaller window", "context", windows=(100_000, 8_000))
POLICY = Scenario("policy", "policy")
PREFILLED = Scenario("prefill", "cut=40", prefill=True)
ALL_DOWN = [
    Scenario("all 503", "error=503", "error=503"),
    Scenario("all refuse", "refuse", "refuse"),
    Scenario("all 429", "error=429,retry=2", "error=429,retry=2"),
    Scenario("all silent", "silent", "silent", first_byte_s=20.0),
    Scenario("all late", "first=20s", "first=40s"),
]
STRUCTURED = Scenario("JSON", "cut=10", "resume=on", structured=True)
INTERRUPTED_TWICE = Scenario("cut twice", "cut=40", "cut=10,resume=on")
INTERRUPTED_THEN_DOWN = Scenario("cut, then 500", "cut=40", "error=500")
REFUSAL_REMEMBERED = replace(prefill_refused("again"), name="learnt")
OUTAGES = [
    Scenario("503 for a minute", "error=503,for=60s"),
    Scenario("resets for a minute", "refuse,for=60s"),
    Scenario("silent for a minute", "silent,for=60s", first_byte_s=10.0),
]

SINGLE_REQUEST = [
    *[
        variant(row)
        for row in (*TRANSIENT, *PERSISTENT, *TOLERATED)
        for variant in VARIANTS.values()
    ],
    *[continued(fault, resume) for fault in INTERRUPTIONS for resume in RESUMES],
    *[
        variant(interrupted(fault))
        for fault in INTERRUPTIONS
        for variant in (different_answer, unstreamed)
    ],
    *[prefill_refused(resume) for resume in (*RESUMES, "new")],
    *[interrupted_after_sentence(way) for way in SENTENCES],
    *[
        CONTEXT_FULL,
        POLICY,
        unstreamed(POLICY),
        PREFILLED,
        *ALL_DOWN,
        INTERRUPTED_TWICE,
        INTERRUPTED_THEN_DOWN,
    ],
    STRUCTURED,
]
"""Scenarios that are requested once each."""
HEALTHY = Scenario("healthy", "")
SLOW_NAMES = ("silent", "late first token", "stall", "all silent", "all late")


def is_slow(scenario: Scenario) -> bool:
    """Return True for a scenario that mostly waits for timeouts."""
    return scenario.name.startswith(SLOW_NAMES)
