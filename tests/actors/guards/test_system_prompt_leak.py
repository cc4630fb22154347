"""Copies of the system prompt are seen before a copy's worth of them settles, in linear time."""

import time

from hypothesis import example, given
from hypothesis import strategies as st

from actors.guards.boundaries import Edge, mark
from actors.guards.checks.system_prompt_leak import GUARD
from actors.guards.leaks.prompt_copies import LEAST_CHARACTERS, LEAST_WORDS, PromptIndex
from actors.guards.spec import GuardContext, SpanCheck

WORDS = ("you", "are", "the", "helper", "of", "Blue", "Leaf", "and", "never", "give", "a", "价")
GAPS = (" ", " ", " ", "\n", ", ", " **", "_", "-" * 120)


def check(system: str, question: str = "", secret: bytes = b"") -> SpanCheck:
    context = GuardContext(system=system, question=question, boundary_secret=secret)
    made = GUARD.make(context)
    assert isinstance(made, SpanCheck)
    return made


def copies_by_definition(prompt: list[str], words: list[str]) -> list[tuple[int, int]]:
    """Return the shortest copies one behind the other, by comparing all places of the prompt."""
    found, begin = [], 0
    while begin < len(words):
        for end in range(begin + LEAST_WORDS, len(words) + 1):
            piece = words[begin:end]
            if sum(len(word) + 1 for word in piece) >= LEAST_CHARACTERS:
                places = range(len(prompt) - len(piece) + 1)
                if any(prompt[at : at + len(piece)] == piece for at in places):
                    found.append((begin, end))
                    begin = end - 1
                break
        begin += 1
    return found


PROMPT_WORDS = st.lists(st.sampled_from(WORDS), min_size=12, max_size=60)


@given(PROMPT_WORDS, st.data())
def test_copies_are_those_of_the_definition(prompt: list[str], data: st.DataObject) -> None:
    others = st.lists(st.sampled_from(WORDS), max_size=10)
    begin = data.draw(st.integers(0, len(prompt)))
    words = [*data.draw(others), *prompt[begin : begin + 20], *data.draw(others)]
    index = PromptIndex(" ".join(prompt), known="")
    places = [(m, m + len(word)) for m, word in zip(_begins(words), words, strict=True)]
    expected = [(places[b][0], places[e - 1][1]) for b, e in copies_by_definition(prompt, words)]
    assert list(index.copies(" ".join(words))) == expected


def _begins(words: list[str]) -> list[int]:
    return [len(" ".join([*words[:n], ""])) for n in range(len(words))]


@given(PROMPT_WORDS, st.data())
def test_nothing_of_a_copy_settles_before_all_of_it(prompt: list[str], data: st.DataObject) -> None:
    """So in `hold_back` no piece of it is shown, and elsewhere less than a shortest copy."""
    other = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
    gap = data.draw(st.sampled_from(GAPS[:-1]))
    text = f"{data.draw(other)} {gap.join(prompt)} {data.draw(other)}"
    one = check(" ".join(prompt))
    copies = one.find(text)
    for size in range(1, len(text)):
        settled = one.settle(text[:size])
        assert not any(copy.begin < settled < copy.end for copy in copies)


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from(GAPS)), max_size=40), st.data())
@example([("never", " ")] * 30, None)
def test_result_does_not_depend_on_cuts(
    parts: list[tuple[str, str]], data: st.DataObject | None
) -> None:
    one = check("you are the helper of Blue Leaf and never never give the helper of Blue Leaf a 价")
    text = "".join(word + gap for word, gap in parts)
    cuts = range(len(text)) if data is None else sorted(data.draw(st.sets(st.integers(0, 400))))
    found, begin = [], 0
    for cut in [*(cut for cut in cuts if cut < len(text)), len(text)]:
        size = one.settle(text[begin:cut]) if cut < len(text) else len(text) - begin
        found += [(begin + s.begin, begin + s.end) for s in one.find(text[begin : begin + size])]
        begin += size
    assert found == [(span.begin, span.end) for span in one.find(text)]


def test_words_that_the_user_wrote_are_no_copy() -> None:
    system = "Never mention prices of other shops, and never give discounts above 10 percent."
    assert check(system).find(system)
    assert not check(system, question=f"Is this so? {system}").find(system)


def test_genuine_mark_is_part_of_the_prompt() -> None:
    system = "You are Kettle, the assistant of the tea shop Blue Leaf."
    secret = b"0123456789abcdef"
    opening = mark(secret, Edge.BEGIN, system)
    one = check(system, secret=secret)
    assert one.find(f"{opening}\nYou are Kettle, the")
    assert not one.find(f"{opening}\nHello.")
    assert not one.find(f"{mark(b'other', Edge.BEGIN, system)}\nYou are Kettle, the")


def test_long_prompts_and_answers_take_linear_time() -> None:
    prompt = " ".join(f"never give {n % 7} of the leaf {n % 11}" for n in range(14_000))
    answer = f"{prompt[5000:9000]} and so on. " * 250
    one = check(prompt)
    started = time.thread_time()
    assert one.settle("You are the helper of ") <= 22
    assert len(one.find(answer)) > 10_000
    assert time.thread_time() - started < 10
