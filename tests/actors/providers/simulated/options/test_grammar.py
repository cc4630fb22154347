"""Tests of the model-name grammar: all settings, and error messages."""

from random import Random

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
from actors.providers.simulated.options.grammar import BadModelName, parse_model_name

ITEMS = [
    *("tool", "cut=1", "cut", "429=2", "429", "retry=1", "times=3", "for=1.5s", "echo", "html"),
    *("delay=1", "delay=0", "context", "error=500", "code=a", "tokens=1=2", "hang", "badjson=0"),
]
DAY_S = 86_400
AFTER_TOKENS = ["cut", "break", "reset", "end", "stall", "errorframe", "noise", "torn"]

Setting = tuple[str, dict[str, object]]
"""A setting as text, and the attributes that it sets."""


def integers(key: str, least: int, most: int) -> st.SearchStrategy[Setting]:
    return st.integers(least, most).map(lambda number: (f"{key}={number}", {key: number}))


def durations(key: str) -> st.SearchStrategy[Setting]:
    return st.one_of(
        st.just(("0", 0.0)),
        st.floats(0, DAY_S).map(lambda length: (f"{length!r}s", length)),
        st.integers(0, DAY_S * 1000).map(lambda length: (f"{length}ms", length / 1000)),
        st.integers(0, DAY_S // 60).map(lambda length: (f"{length}m", length * 60.0)),
    ).map(lambda pair: (f"{key}={pair[0]}", {f"{key}_s": pair[1]}))


def constants(**settings: dict[str, object]) -> st.SearchStrategy[Setting]:
    return st.sampled_from([*settings.items()])


SETTINGS = [
    integers("tokens", 1, 100_000),
    *map(durations, ("head", "first", "delay")),
    integers("chunk", 1, 1000),
    integers("tool", 1, 16) | constants(tool={"tool": 1}),
    integers("reasoning", 1, 100_000) | constants(reasoning={"reasoning": 24}),
    integers("filter", 0, 100_000),
    integers("badjson", 0, 100_000),
    st.sampled_from(Resume).map(lambda resume: (f"resume={resume}", {"resume": resume})),
    constants(
        echo={"style": Style.ECHO}, count={"style": Style.COUNT}, unicode={"style": Style.UNICODE}
    ),
    constants(refusal={"refusal": True}),
    constants(nousage={"usage": False}),
    constants(nodone={"done": False}),
    constants(noprefill={"prefill": False}),
]
CODE: st.SearchStrategy[Setting] = st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True).map(
    lambda code: (f"code={code}", {"code": code})
)
RETRY: st.SearchStrategy[Setting] = st.floats(0, DAY_S).map(
    lambda after: (f"retry={after!r}", {"retry_after_s": after})
)
FAULTS = [
    st.integers(400, 599).map(lambda n: (f"error={n}", {"kind": "error", "status": n})),
    st.integers(200, 599).map(lambda n: (f"html={n}", {"kind": "html", "status": n})),
    constants(
        html={"kind": "html"},
        refuse={"kind": "refuse"},
        silent={"kind": "silent"},
        garbage={"kind": "garbage"},
        hang={"kind": "hang"},
    ),
    st.tuples(st.sampled_from(AFTER_TOKENS), st.integers(0, 100_000)).map(
        lambda pair: (f"{pair[0]}={pair[1]}", {"kind": pair[0], "at": pair[1]})
    ),
]


@st.composite
def faults(draw: st.DrawFn) -> list[Setting]:
    fault = draw(st.one_of(FAULTS))
    options = [integers("times", 1, 1_000_000), durations("for")]
    if fault[1]["kind"] in ("error", "errorframe"):
        options.append(CODE)
    if fault[1]["kind"] == "error":
        options.append(RETRY)
    return [fault, *[draw(option) for option in options if draw(st.booleans())]]


@given(
    st.text(st.characters(exclude_characters=":"), min_size=1),
    st.sets(st.sampled_from(range(len(SETTINGS)))).flatmap(
        lambda chosen: st.tuples(*[SETTINGS[index] for index in chosen])
    ),
    st.just([]) | faults(),
    st.randoms(),
)
def test_settings_in_any_order_set_their_attributes(
    voice: str, settings: tuple[Setting, ...], faulty: list[Setting], random: Random
) -> None:
    attributes = {name: value for _, changes in settings for name, value in changes.items()}
    if faulty:
        options = {name: value for _, changes in faulty for name, value in changes.items()}
        attributes["fault"] = msgspec.convert(options, Fault)
    texts = [text for text, _ in (*settings, *faulty)]
    random.shuffle(texts)
    name = ":".join(filter(None, (voice, ",".join(texts))))
    expected = msgspec.structs.replace(Behaviour(voice=voice), **attributes)
    assert parse_model_name(name) == expected


@given(st.text() | st.lists(st.sampled_from(ITEMS), max_size=4).map(lambda i: f"x:{','.join(i)}"))
def test_arbitrary_text_is_a_name_or_an_error(text: str) -> None:
    try:
        behaviour = parse_model_name(text)
    except BadModelName:
        return
    assert behaviour.voice == text.partition(":")[0]


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
        (
            "sim:context,times=2",
            Behaviour(
                fault=Fault(
                    kind=FaultKind.ERROR, status=400, code="context_length_exceeded", times=2
                )
            ),
        ),
        (
            "sim:policy",
            Behaviour(
                fault=Fault(kind=FaultKind.ERROR, status=400, code="content_policy_violation")
            ),
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
        ("sim:cut=1,stall=2", "'stall': fault is set twice"),
        ("sim:echo,unicode", "'unicode': style is set twice"),
        ("sim:cut=1,cut=2", "'cut': fault is set twice"),
        ("sim:429=2,retry=3", "'retry': retry_after_s is set twice"),
        ("sim:context,code=x", "'code': code is set twice"),
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
