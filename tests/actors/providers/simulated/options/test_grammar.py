"""Tests of the model-name grammar: round trips and error messages."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.simulated.options.behaviour import (
    OPENING_FAULTS,
    Behaviour,
    Fault,
    FaultKind,
    Resume,
    Style,
)
from actors.providers.simulated.options.grammar import BadModelName, model_name, parse_model_name

seconds = st.floats(0, 86_400, allow_nan=False)
tokens = st.integers(0, 100_000)
codes = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True)
ITEMS = [
    *("tool", "cut=1", "cut", "429=2", "429", "retry=1", "times=3", "for=1.5s", "echo", "html"),
    *("delay=1", "delay=0", "context", "error=500", "code=a", "tokens=1=2", "hang", "badjson=0"),
]
PLAIN = {FaultKind.REFUSE, FaultKind.SILENT, FaultKind.GARBAGE, FaultKind.HANG}


@st.composite
def faults(draw: st.DrawFn) -> Fault:
    kind = draw(st.sampled_from(FaultKind))
    fault = Fault(kind=kind, times=draw(st.integers(0, 1_000_000)), for_s=draw(seconds))
    if kind is FaultKind.ERROR:
        return msgspec.structs.replace(
            fault,
            status=draw(st.integers(400, 599)),
            code=draw(st.none() | codes),
            retry_after_s=draw(st.none() | seconds),
        )
    if kind is FaultKind.HTML:
        return msgspec.structs.replace(fault, status=draw(st.integers(200, 599)))
    if kind is FaultKind.ERROR_FRAME:
        fault = msgspec.structs.replace(fault, code=draw(st.none() | codes))
    return fault if kind in PLAIN else msgspec.structs.replace(fault, at=draw(tokens))


behaviours = st.builds(
    Behaviour,
    voice=st.text(st.characters(exclude_characters=":"), min_size=1),
    tokens=st.none() | st.integers(1, 100_000),
    head_s=seconds,
    first_s=seconds,
    delay_s=seconds,
    chunk=st.integers(1, 1000),
    style=st.sampled_from(Style),
    tool=st.integers(0, 16),
    reasoning=st.integers(0, 100_000),
    refusal=st.booleans(),
    filter=st.none() | tokens,
    usage=st.booleans(),
    done=st.booleans(),
    badjson=st.none() | tokens,
    prefill=st.booleans(),
    resume=st.sampled_from(Resume),
    fault=st.none() | faults(),
)


@given(behaviours)
def test_behaviour_round_trips_through_its_name(behaviour: Behaviour) -> None:
    assert parse_model_name(model_name(behaviour)) == behaviour


@given(st.text() | st.lists(st.sampled_from(ITEMS), max_size=4).map(lambda i: f"x:{','.join(i)}"))
def test_arbitrary_text_is_a_name_or_an_error(text: str) -> None:
    try:
        behaviour = parse_model_name(text)
    except BadModelName:
        return
    assert parse_model_name(model_name(behaviour)) == behaviour


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sim", Behaviour()),
        ("other", Behaviour(voice="other")),
        (
            "sim:tokens=500,delay=20ms,first=300ms,head=1.5s",
            Behaviour(tokens=500, delay_s=0.02, first_s=0.3, head_s=1.5),
        ),
        ("sim:delay=0", Behaviour(delay_s=0)),
        ("sim:tool", Behaviour(tool=1)),
        ("sim:tool=2,reasoning", Behaviour(tool=2, reasoning=24)),
        ("sim:429", Behaviour(fault=Fault(kind=FaultKind.ERROR, status=429))),
        (
            "sim:429=2",
            Behaviour(fault=Fault(kind=FaultKind.ERROR, status=429, retry_after_s=2, times=1)),
        ),
        (
            "sim:error=503,for=60s",
            Behaviour(fault=Fault(kind=FaultKind.ERROR, status=503, for_s=60)),
        ),
        ("sim:html", Behaviour(fault=Fault(kind=FaultKind.HTML, status=200))),
        ("sim:cut=40", Behaviour(fault=Fault(kind=FaultKind.CUT, at=40))),
    ],
)
def test_names(name: str, expected: Behaviour) -> None:
    assert parse_model_name(name) == expected


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("", "must begin with a word"),
        (":tool", "must begin with a word"),
        ("sim:", "unknown setting ''"),
        ("sim:oops", "unknown setting 'oops'; the known settings are 429, badjson"),
        ("sim:tokens", "'tokens' needs a value"),
        ("sim:tokens=0", "'tokens': 0 is not between 1 and"),
        ("sim:tokens=٣", "not an integer"),
        ("sim:delay=20", "'20' is not a duration; write 20ms"),
        ("sim:delay=inf", "is not a duration"),
        ("sim:delay=1e9s", "1e+09 s is not between 0 and 86400 s"),
        ("sim:delay=1.2.3s", "not a number"),
        ("sim:cut", "'cut' needs a value"),
        ("sim:silent=3", "'silent' takes no value"),
        ("sim:echo=1", "'echo' takes no value"),
        ("sim:context=1", "'context' takes no value"),
        ("sim:cut=1,stall=2", "'stall': the name already sets another fault"),
        ("sim:echo,unicode", "'unicode': the name already sets another style"),
        ("sim:cut=1,cut=2", "'cut' is set twice"),
        ("sim:429=2,retry=3", "'retry' is set twice"),
        ("sim:times=2", "need a fault in the same name"),
        ("sim:cut=3,retry=2", "'retry' is allowed only with 'error'"),
        ("sim:cut=3,code=x", "'code' is allowed only with"),
        ("sim:error=200", "not between 400 and 599"),
        ("sim:resume=later", "not one of new, on, again, overlap"),
    ],
)
def test_invalid_name_is_explained(name: str, complaint: str) -> None:
    with pytest.raises(BadModelName) as problem:
        parse_model_name(name)
    assert complaint in str(problem.value)


def test_omitted_settings_come_from_the_base() -> None:
    base = Behaviour(delay_s=0, tokens=7)
    assert parse_model_name("x:tokens=9", base) == Behaviour(voice="x", delay_s=0, tokens=9)


def test_every_fault_is_documented() -> None:
    from actors.providers.simulated.options import grammar

    documented = grammar.__doc__ or ""
    assert [kind for kind in FaultKind if kind not in documented] == []
    assert set(FaultKind) > OPENING_FAULTS
