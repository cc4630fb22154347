"""Tests of splicing: a second answer is joined correctly or refused, and never wrong silently."""

from collections import Counter
from typing import Literal
from unicodedata import normalize

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from actors.continuation.request import continuation
from actors.continuation.splicing.seams import SLACK
from actors.continuation.splicing.splice import DoesNotFit, Seam, Splicer
from actors.providers.simulated import script
from actors.providers.simulated.prose import pieces
from actors.turn.chat_messages import read_messages
from actors.turn.chunks import TextChunk
from actors.turn.model_call import ModelCall
from actors.turn.request import DEFAULT_INSTRUCTION
from tests.actors.continuation.splicing.seam_texts import (
    attempt,
    cuts,
    in_pieces,
    last_words,
    passages,
    sizes,
    splice,
    texts,
    without_space,
)

ANCHOR = "and then the lanterns along the harbour"
"""Words of more than twenty letters that no generated text contains."""
Form = Literal["NFC", "NFD"]
forms: st.SearchStrategy[Form] = st.sampled_from(("NFC", "NFD"))
ONE = [1]
ALL = [1_000_000]


def cut(whole: str, at: int) -> tuple[str, str]:
    """Return the shown text and its continuation, with the white space at the cut in the latter."""
    shown = whole[: at % (len(whole) + 1)]
    return shown, whole[len(shown.rstrip()) :]


@given(texts, st.integers(0, 500), sizes)
def test_prefill_is_continued_at_any_cut(whole: str, at: int, lengths: list[int]) -> None:
    shown, second = cut(whole, at)
    seam, rest = splice(shown, second, lengths, prefill=True)
    assert seam is Seam.PREFILL
    assert shown + rest == whole


@given(texts, st.integers(0, 500), sizes)
@example("e\u0301\u0323 and so on", 2, ONE)
@example("...and then", 1, ONE)
@example("```python\nimport csv\nimport re and some more", 17, ONE)
def test_repeated_answer_is_complete_at_any_cut(whole: str, at: int, lengths: list[int]) -> None:
    shown, _ = cut(whole, at)
    seam, rest = splice(shown, whole, lengths)
    assert shown + rest == whole
    assert seam is (Seam.RESTARTED if shown.strip() else Seam.APPENDED)


@given(texts, st.sampled_from([" ", "\n", "", ", "]), texts, sizes)
def test_an_overlap_is_dropped(before: str, space: str, rest: str, lengths: list[int]) -> None:
    """Assume that the overlap isn't the answer's beginning and is repeated only once."""
    assume(without_space(before)[:10] and not rest.startswith(" along"))
    shown = f"{before} {ANCHOR}"
    seam, said = splice(shown, ANCHOR + space + rest, lengths)
    assert seam is Seam.OVERLAP
    assert said == space + rest


@given(texts, st.sampled_from([" ", "\n", "  \n"]), texts, sizes)
def test_unrelated_continuation_is_appended(
    before: str, space: str, rest: str, lengths: list[int]
) -> None:
    """Assume white space at the seam, a lower-case continuation and no repetition."""
    shown = f"{before} and a quiet"
    second = f"{space}lanternfish, who had swum {rest}"
    assume(rest.strip()[:1] not in before)
    seam, said = splice(shown, second, lengths)
    assert seam is Seam.APPENDED
    assert said == second


@given(texts, texts, sizes)
def test_rewording_is_refused_before_anything_is_shown(
    before: str, rest: str, lengths: list[int]
) -> None:
    beginning = "Tides are caused mainly by the moon"
    shown = f"{beginning}, {before} and a quiet"
    splicer = Splicer(shown, prefill=False)
    second = f"{beginning} and by nothing else, {rest}"
    seen = ""
    with pytest.raises(DoesNotFit, match="in other words"):
        seen = "".join(splicer.feed(piece) for piece in in_pieces(second, lengths)) + splicer.end()
    assert seen == ""
    assert splicer.seam is None
    with pytest.raises(DoesNotFit):
        splicer.feed("more")


@given(texts, st.integers(1, 500))
def test_repeated_answer_that_ends_early_is_refused(whole: str, at: int) -> None:
    shown = f"The boats were all {whole} and then"
    second = shown[: 5 + at % (len(shown) - 8)]
    assume(not shown.endswith(second.strip()))
    assert attempt(shown, second, ONE)[0] is None


@given(st.data())
def test_result_does_not_depend_on_piece_sizes(data: st.DataObject) -> None:
    shown = data.draw(texts)
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(shown))] * 2)))
    second = data.draw(texts) if data.draw(st.booleans()) else shown[start:end] + data.draw(texts)
    second = normalize(data.draw(forms), second)
    whole = attempt(shown, second, ALL)
    assert attempt(shown, second, ONE) == whole
    assert attempt(shown, second, data.draw(sizes)) == whole


@given(texts, texts, sizes)
def test_shown_text_is_the_end_of_the_second_answer(
    shown: str, second: str, lengths: list[int]
) -> None:
    """Check that no character after the seam is lost or doubled; a space may be inserted at it."""
    splicer = Splicer(shown, prefill=False)
    try:
        said = splicer.feed(second) + splicer.end()
    except DoesNotFit:
        return
    assert second.endswith((said, said[1:]))
    assert splicer.dropped == len(second) - len(said) + (not second.endswith(said))


@given(texts, forms, forms, sizes)
def test_other_white_space_and_unicode_form_still_match(
    text: str, one: Form, other: Form, lengths: list[int]
) -> None:
    """Vary the white space and the Unicode normal form of the repetition."""
    whole = normalize(one, f"The first {text} of all, ") + "\n\n".join([ANCHOR] * 2)
    shown = whole + " "
    again = "  \n" + "\n".join(normalize(other, whole).split(" ")) + " and so on"
    assert splice(shown, again, lengths) == (Seam.RESTARTED, "and so on")


@pytest.mark.parametrize(
    ("shown", "second", "rest"),
    [
        ("Un cafe", "Un café noir", "\u0301 noir"),
        ("Un café", "Un cafe\u0301 noir", " noir"),
        ("Un cafe\u0301", "Un café noir", " noir"),
        ("Xin cha\u0323", "Xin cha\u0323\u0300o", "\u0300o"),
        ("Xin cha\u0323", "Xin chạ\u0300o", "\u0300o"),
        ("Go 👩🏽", "Go 👩🏽\u200d🚀!", "\u200d🚀!"),
        ("서우", "서울은", "울은"),
    ],
)
def test_character_cut_in_two_is_completed(shown: str, second: str, rest: str) -> None:
    for lengths in (ONE, ALL):
        if shown == "서우":
            whole = shown + splice(shown, second, lengths)[1]
            assert normalize("NFC", whole) == "서울은"
        else:
            assert splice(shown, second, lengths) == (Seam.RESTARTED, rest)


def test_text_after_the_seam_passes_unchanged() -> None:
    splicer = Splicer("The lamp is", prefill=False)
    assert splicer.feed("The lamp is low, and the street is very still tonight, a") == (
        " low, and the street is very still tonight, a"
    )
    piece = "".join(["fox ", "goes by"])
    assert splicer.feed(piece) is piece
    assert splicer.end() == ""
    assert splicer.dropped == len("The lamp is")


@given(texts, texts)
def test_held_text_is_bounded(shown: str, second: str) -> None:
    long = second + " \u0301" * 500 + "x " * (len(shown) + SLACK)
    splicer, held = Splicer(shown, prefill=False), 0
    for character in long:
        held += 1
        try:
            if splicer.feed(character) or splicer.seam:
                break
        except DoesNotFit:
            break
    assert held <= len(shown) + SLACK + 1


def call(model: str, question: str) -> ModelCall:
    messages: list[dict[str, object]] = [{"role": "user", "content": question}]
    return ModelCall(upstream_model=model, messages=read_messages(messages), parameters={})


def said(asked: ModelCall) -> str:
    steps = script(asked).steps
    return "".join(step.act.text for step in steps if isinstance(step.act, TextChunk))


def resumed(model: str, question: str, shown: str, *, prefill: bool = False) -> str:
    return said(
        continuation(
            call(model, question),
            shown,
            prefill=prefill,
            instruction=DEFAULT_INSTRUCTION,
            used_tokens=0,
        )
    )


CASES = [(f"voice{seed}", f"question {seed}") for seed in range(8)]


@pytest.mark.parametrize("style", ["", ",count", ",unicode"])
def test_simulated_answers_are_complete_at_any_cut(style: str) -> None:
    seams: Counter[tuple[str, Seam | None]] = Counter()
    for voice, question in CASES:
        model = f"{voice}:tokens=60{style}"
        whole = said(call(model, question))
        found = pieces(whole)
        for k in range(1, len(found)):
            shown = "".join(found[:k])
            second = resumed(model, question, shown, prefill=True)
            assert shown + splice(shown, second, ONE, prefill=True)[1] == whole
            for how in ("again", "overlap", "on"):
                second = resumed(f"{model},resume={how}", question, shown)
                seam, rest = attempt(shown, second, [1 + k % 9])
                seams[how, seam] += 1
                if seam is None:
                    continue
                if how == "on":  # the model omits the white space at the cut
                    assert without_space(shown + rest) == without_space(whole)
                    if style != ",unicode" and whole[len(shown)] != "\n":
                        assert shown + rest == whole
                else:
                    assert shown + rest == whole
    total = sum(number for (how, _), number in seams.items() if how == "on")
    assert seams["again", None] == 0
    assert seams["again", Seam.RESTARTED] == total
    assert seams["overlap", None] <= (0.05 if style == ",unicode" else 0) * total
    assert seams["on", None] <= 0.02 * total


def test_answer_of_another_model_is_refused_inside_a_sentence() -> None:
    """At about 8 % of the cuts the form doesn't show it; there the seam is `APPENDED`."""
    seams: Counter[Seam | None] = Counter()
    within = 0
    for seed in range(40):
        found = pieces(said(call(f"voice{seed}:tokens=50", f"question {seed}")))
        other = said(call(f"another{seed}:tokens=50", f"question {seed}"))
        for k in range(1, len(found)):
            shown = "".join(found[:k])
            seam, _ = attempt(shown, other, [1 + k % 9])
            if seam is Seam.RESTARTED:
                assert other.startswith(shown)
                seam = None
            seams[seam] += 1
            within += seam is Seam.APPENDED and not shown.endswith(".")
    total = seams.total()
    assert seams[Seam.APPENDED] <= 0.09 * total
    assert within <= 0.015 * total
    assert seams[Seam.OVERLAP] <= 0.002 * total


UNCASED = {"arabic", "chinese", "chinese_letter", "hindi", "japanese", "korean", "thai"}
"""Passages without capitals, where a fresh start inside a sentence can't be recognised."""
IN_LINES = {"emoji", "german_essay", "german_letter", "list", "maths", "table"}
"""Passages with lists, tables, formulas or German text, where capitals and marks prove less."""
CODE = {"go", "howto", "javascript", "python"}
PASSAGES = [(kind, *found) for kind in ("known", "set_aside", "unseen") for found in passages(kind)]


@pytest.mark.parametrize(
    ("name", "first", "other", "reworded"),
    [found[1:] for found in PASSAGES],
    ids=lambda text: text[:12],
)
def test_passages(name: str, first: str, other: str, reworded: str) -> None:
    """Cut at every fourth word or mark and count which kinds of second answers are accepted."""
    wrong: Counter[str] = Counter()
    taken: Counter[tuple[str, Seam | None]] = Counter()
    places = cuts(first)[::4]
    for at in places:
        shown = first[:at]
        rest = first[at:]
        seconds = {
            "again": first,
            "overlap": last_words(shown, 5) + rest,
            "on": rest.lstrip(),
            "other": other,
            "reworded": reworded,
        }
        for how, second in seconds.items():
            seam, text = attempt(shown, second, [5])
            taken[how, seam] += 1
            if seam is None or how in ("other", "reworded"):
                continue
            exact = shown + text == first
            same = without_space(shown + text) == without_space(first)
            wrong[how] += not (same if how == "on" else exact)
    total = len(places)
    assert taken["again", None] == wrong["again"] == wrong["overlap"] == 0
    assert taken["overlap", None] <= (0.05 if name in CODE else 0) * total
    assert wrong["on"] <= 1
    assert taken["on", None] <= (0.4 if name in CODE else 0.2) * total
    assert taken["reworded", Seam.APPENDED] <= (0.3 if name in UNCASED | IN_LINES else 0.12) * total
    assert taken["other", Seam.OVERLAP] == taken["reworded", Seam.OVERLAP] == 0
    if name not in UNCASED:
        assert taken["other", Seam.APPENDED] <= (0.45 if name in IN_LINES else 0.15) * total


@pytest.mark.parametrize(
    ("shown", "second", "whole"),
    [
        (
            "The rain had stopped and the",
            "... and the street was quiet.",
            "and the street was quiet.",
        ),
        (
            "```python\ndef area(r):\n    return",
            "```python\ndef area(r):\n    return 3.14 * r * r\n```",
            "return 3.14 * r * r\n```",
        ),
        ("Steps:\n\n1. Open it.\n2.", "2. Close it.", "\n2. Close it."),
        (
            "We sailed through the under",
            "the understudy of all storms",
            "the understudy of all storms",
        ),
        ("- one\n- two", "- three", "- two\n- three"),
        ("See the docs.", "They are short.", "docs. They are short."),
        ("He lives in New", "york since then", "New york since then"),
        ("In der Küche steht", "noch Kaffee.", "steht noch Kaffee."),
        ("今天天气很好。我们", "一起去公园散步。", "我们一起去公园散步。"),
        ("pi is 3.14", ", more or less", "3.14, more or less"),
        ("1 2 3", "4 5 6", "3 4 5 6"),
        ("Yesterday my sister and", "I went home.", "and I went home."),
        ("Send it over", "HTTP, not FTP.", "over HTTP, not FTP."),
        ("The reason:\n", "The wind.", "reason:\nThe wind."),
    ],
)
def test_fitting_second_answer_is_joined(shown: str, second: str, whole: str) -> None:
    for lengths in (ONE, ALL):
        assert (shown + splice(shown, second, lengths)[1]).endswith(whole)


@pytest.mark.parametrize(
    ("shown", "second"),
    [
        ("The rain had stopped.", "Sure, here is the rest: and the street"),
        ("The rain had stopped.", "Of course! The street"),
        ("The rain had stopped.", "Continuing from where I left off: the street"),
        ("The rain had stopped.", "I apologize for the interruption. The street"),
        ("雨停了。", "好的。我继续写。"),
        ("The rain had stopped and the", "The street was quiet when I came home."),
        ("The rain had stopped and the", "**Streets** are quiet after rain."),
        ("The rain had stopped and the", "# Streets\n\nare quiet after rain."),
        ("The brown fox jumps over the", "brown fox jumped over the lazy dog and slept."),
        ("We went to see a play in the", "theatre of the old town."),
        ("This is what it is", "is that so?"),
        ("The year was 19", "45, and the war"),
        ("```python\nimport csv", "from collections import Counter"),
        ("```python\nimport csv\n\nx =", "You can use pandas for this."),
        ("The rain had stopped and", ""),
        ("The rain had stopped and", " \n "),
        ("The rain had stopped and the street was", "The rain had"),
    ],
)
def test_unfitting_second_answer_is_refused(shown: str, second: str) -> None:
    for lengths in (ONE, ALL):
        with pytest.raises(DoesNotFit):
            splice(shown, second, lengths)


def test_empty_second_answer_is_accepted_after_a_complete_sentence() -> None:
    assert splice("That is all.", "", ONE) == (Seam.APPENDED, "")
    assert splice("", "Hello", ONE) == (Seam.APPENDED, "Hello")
