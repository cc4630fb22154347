"""Scores tell what a text says by exemplars, with hashed 3-grams or vectors of a model."""

import pytest

from actors.guards.spec import Meaning
from actors.guards.wording import semantics
from actors.guards.wording.semantics import Centroids, Vector, embedding, exemplar_texts, scores

THRESHOLDS = {
    Meaning.NARRATED_DELEGATION: 0.65,
    Meaning.CAPABILITY_DENIAL: 0.65,
    Meaning.TASK_DEFERRAL: 0.70,
    Meaning.FALSE_COMPLETION: 0.70,
    Meaning.FINANCIAL_CLAIM: 0.65,
}
PARAPHRASES = [
    (Meaning.NARRATED_DELEGATION, "I have asked a specialist agent to handle your request."),
    (Meaning.CAPABILITY_DENIAL, "I do not have the ability to read files on your computer."),
    (Meaning.TASK_DEFERRAL, "I'll get back to you when I have the results."),
    (Meaning.FALSE_COMPLETION, "Done! The task was finished successfully."),
    (Meaning.FINANCIAL_CLAIM, "I've transferred $300 to your savings account."),
]


@pytest.mark.parametrize(("meaning", "text"), PARAPHRASES)
def test_paraphrases_have_their_meaning_and_no_other(meaning: Meaning, text: str) -> None:
    found = {one for one, score in scores(text).items() if score >= THRESHOLDS[one]}
    assert found == {meaning}


def test_exemplars_have_their_meaning() -> None:
    missed = [
        text
        for meaning, groups in semantics._exemplars().meanings.items()
        for text in (text for group in groups for text in group)
        if scores(text)[meaning] < THRESHOLDS[meaning]
    ]
    assert missed == []


def test_ordinary_sentences_and_near_misses_have_no_meaning() -> None:
    exemplars = semantics._exemplars()
    texts = exemplars.ordinary + [text for group in exemplars.near_misses for text in group]
    found = [
        (text, one)
        for text in texts
        for one, score in scores(text).items()
        if score >= THRESHOLDS[one]
    ]
    assert found == []


@pytest.mark.parametrize(("meaning", "text"), PARAPHRASES)
def test_one_sentence_at_either_end_of_a_long_text_decides(meaning: Meaning, text: str) -> None:
    filler = "The function returns the sum of both numbers. " * 50_000
    for long_text in (f"{text} {filler}", f"{filler}{text}"):
        assert scores(long_text)[meaning] == scores(text)[meaning]


def test_code_and_quotations_have_no_meaning() -> None:
    meaning, text = PARAPHRASES[2]
    long_code = f"```\n{text}\n" + "x = 1\n" * 3_000 + text
    for quoted in (f"```\n{text}\n```", f"> {text}", f'He said "{text}"', long_code):
        assert scores(quoted)[meaning] < THRESHOLDS[meaning]


def test_scores_are_computed_when_they_are_read_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    passages = semantics.passages

    def recorded(text: str) -> list[str]:
        calls.append(text)
        return passages(text)

    monkeypatch.setattr(semantics, "passages", recorded)
    found = scores("Done!")
    assert calls == []
    assert len(dict(found)) == len(Meaning)
    assert calls == ["Done!"]


def test_vectors_of_a_model_are_scored_on_the_same_scale() -> None:
    """A model that puts all texts close to each other, as some do, is scaled to their distances."""
    dimensions = [*Meaning, "near miss", "ordinary"]

    def embed(kind: str) -> Vector:
        return embedding([5.0, *(1.0 if one == kind else 0.0 for one in dimensions)])

    exemplars = semantics._exemplars()
    kinds: list[str] = [
        meaning for meaning, groups in exemplars.meanings.items() for group in groups for _ in group
    ]
    kinds += ["near miss" for group in exemplars.near_misses for _ in group]
    kinds += ["ordinary"] * len(exemplars.ordinary)
    assert len(kinds) == len(exemplar_texts())
    centroids = Centroids([embed(kind) for kind in kinds], merged=True)
    for meaning in Meaning:
        found = centroids.scores_from([embed("ordinary"), embed(meaning)])
        assert found == {one: pytest.approx(float(one is meaning)) for one in Meaning}
    assert set(centroids.scores_from([embed("near miss")]).values()) == {0.0}
    assert set(centroids.scores_from([]).values()) == {0.0}
