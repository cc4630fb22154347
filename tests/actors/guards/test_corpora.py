"""Each output guard finds the positives of its corpus and passes the negatives, however cut.

A corpus is the `.toml` file beside the module of its guard, with two lists of samples. A sample is
a text, or a table with `text`, fields of `GuardContext`, and for positives `becomes`: the text
after rewriting.
"""

import importlib
import pkgutil
import tomllib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from actors.guards import checks
from actors.guards.prose import START, sentences, spans, spans_of
from actors.guards.spec import (
    PASS,
    Action,
    Block,
    GuardContext,
    GuardSpec,
    Retry,
    Rewrite,
    Span,
    SpanCheck,
    TextCheck,
    Verdict,
)
from actors.guards.wording.semantics import scores

NAMES = [module.name for module in pkgutil.iter_modules(checks.__path__)]
FOLDER = Path(checks.__path__[0])


class Sample(Struct, frozen=True):
    text: str
    context: GuardContext
    becomes: str | None = None


def guard(name: str) -> GuardSpec:
    found = importlib.import_module(f"{checks.__name__}.{name}").GUARD
    assert isinstance(found, GuardSpec)
    return found


def samples(name: str, kind: str) -> Iterator[Sample]:
    entries = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))[kind]
    for entry in entries:
        fields = {"text": entry} if isinstance(entry, str) else dict(entry)
        text, becomes = fields.pop("text"), fields.pop("becomes", None)
        assert set(fields) <= set(GuardContext.__struct_fields__), fields
        yield Sample(text, msgspec.convert(fields, GuardContext), becomes)


def all_samples(name: str) -> list[Sample]:
    return [*samples(name, "positives"), *samples(name, "negatives")]


def verdict(spec: GuardSpec, sample: Sample) -> Verdict:
    check = spec.make(sample.context)
    if isinstance(check, TextCheck):
        return check.check(sample.text, scores(sample.text))
    found = [] if check is None else spans_of(check, sample.text)
    if not found:
        return PASS
    match spec.action:
        case Action.REWRITE:
            return Rewrite(replaced(sample.text, found))
        case Action.RETRY:
            return Retry(spec.directive)
        case Action.BLOCK:
            return Block()


def replaced(text: str, found: list[Span]) -> str:
    begins = [0, *(span.end for span in found)]
    ends = [*(span.begin for span in found), len(text)]
    kept = [text[begin:end] for begin, end in zip(begins, ends, strict=True)]
    return "".join(
        part + new for part, new in zip(kept, [*(s.replacement for s in found), ""], strict=True)
    )


def in_pieces(check: SpanCheck, text: str, cuts: list[int]) -> list[Span]:
    """Return the spans in a text that arrives in pieces; check what `settle` returns."""
    found: list[Span] = []
    begin, size, place = 0, 0, START

    def take(end: int) -> None:
        nonlocal begin, place
        piece = text[begin:end]
        prose, place = sentences(piece, place)
        new = spans(check.find, prose) if check.prose else check.find(piece)
        found.extend(Span(begin + s.begin, begin + s.end, s.replacement) for s in new)
        begin = end

    for cut in cuts:
        settled = begin + check.settle(text[begin:cut])
        assert max(begin, size) <= settled <= cut
        size = settled
        if settled > begin:
            take(settled)
    take(len(text))
    return found


def test_every_guard_has_a_corpus_and_is_named_like_its_module() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(NAMES)
    assert [guard(name).name for name in NAMES] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_corpora_are_large_enough_and_have_no_sample_twice(name: str) -> None:
    positives, negatives = list(samples(name, "positives")), list(samples(name, "negatives"))
    assert len(positives) >= 15
    assert len(negatives) >= 25
    kept = [(sample.text, sample.context) for sample in positives + negatives]
    assert all(kept.count(one) == 1 for one in kept)


@pytest.mark.parametrize("name", NAMES)
def test_positives_are_found(name: str) -> None:
    spec = guard(name)
    missed: list[object] = []
    for sample in samples(name, "positives"):
        result = verdict(spec, sample)
        if result == PASS or (sample.becomes is not None and result != Rewrite(sample.becomes)):
            missed.append((sample.text, result))
    assert missed == []


@pytest.mark.parametrize("name", NAMES)
def test_negatives_pass(name: str) -> None:
    spec = guard(name)
    results = [(sample.text, verdict(spec, sample)) for sample in samples(name, "negatives")]
    assert [result for result in results if result[1] != PASS] == []


@pytest.mark.parametrize("name", NAMES)
def test_verdicts_do_no_more_than_the_action_of_the_guard(name: str) -> None:
    allowed = {Action.REWRITE: Rewrite, Action.RETRY: Rewrite | Retry, Action.BLOCK: Verdict}
    spec = guard(name)
    results = [verdict(spec, sample) for sample in samples(name, "positives")]
    assert all(isinstance(result, allowed[spec.action]) for result in results)


SPAN_CHECKS = [
    name
    for name in NAMES
    if any(isinstance(guard(name).make(one.context), SpanCheck) for one in all_samples(name))
]


@pytest.mark.parametrize("name", SPAN_CHECKS)
def test_spans_do_not_depend_on_where_a_corpus_text_is_cut(name: str) -> None:
    spec = guard(name)
    for sample in all_samples(name):
        check, text = spec.make(sample.context), sample.text
        if isinstance(check, SpanCheck):
            whole = spans_of(check, text)
            assert in_pieces(check, text, list(range(1, len(text)))) == whole
            assert all(in_pieces(check, text, [cut]) == whole for cut in range(1, len(text)))


@pytest.mark.parametrize("name", SPAN_CHECKS)
@given(data=st.data())
def test_spans_are_ordered_and_do_not_depend_on_cuts(name: str, data: st.DataObject) -> None:
    """Texts are samples and what could come between them, with pieces left out."""
    corpus = all_samples(name)
    sample = data.draw(st.sampled_from(corpus))
    others = [*(one.text for one in corpus), "```", "```\n", "\n", '"', "“", "`", " ", "x" * 990]
    parts = data.draw(st.lists(st.sampled_from([sample.text, *others]), max_size=4))
    text = "".join(parts)
    text = text[data.draw(st.integers(0, len(text))) :]
    check = guard(name).make(sample.context)
    if not isinstance(check, SpanCheck):
        return
    cuts = data.draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=20))
    found = spans_of(check, text)
    edges = [edge for span in found for edge in (span.begin, span.end)]
    assert all(before <= after for before, after in pairwise([0, *edges, len(text)]))
    assert all(span.begin < span.end for span in found)
    assert in_pieces(check, text, sorted(cut for cut in cuts if cut < len(text))) == found


@pytest.mark.parametrize("name", SPAN_CHECKS)
@given(data=st.data())
def test_settled_text_grows_with_the_text(name: str, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(all_samples(name)))
    check = guard(name).make(sample.context)
    if not isinstance(check, SpanCheck):
        return
    text = sample.text + data.draw(st.sampled_from(all_samples(name))).text
    sizes = [check.settle(text[:end]) for end in range(len(text) + 1)]
    assert all(before <= after for before, after in pairwise(sizes))
    assert all(size <= end for end, size in enumerate(sizes))


LONG_TEXTS = [
    "The function returns the sum of both numbers. ",
    "```\nx = 1\n",
    '"a" `b` ',
    "x",
    "\n",
    "I will go and ",
    "As an AI, I don't have personal opinions, but I like it. ",
    ", but (",
    "\u2019\u00e9 ",
]


@pytest.mark.parametrize("name", NAMES)
def test_long_texts_take_linear_time(name: str) -> None:
    """A quadratic check would take hours, and not seconds, for all of them."""
    previous = LONG_TEXTS[0] * 10
    question = "What does this function do, and how does it work for us in the end?"
    context = GuardContext(model="large", question=question, previous=previous)
    for part in LONG_TEXTS:
        verdict(guard(name), Sample((part * 2**18)[: 2**18], context))
