"""Tests of fresh-start detection, including texts that only look like a fresh start."""

import pytest

from actors.continuation.splicing.fresh_start import begins_with_remark, lead_in, starts_over

GERMAN = (
    "Der Teig wird so lange geknetet, bis er glatt ist und sich vom Rand der Schüssel löst, und "
    "muss dann an einem warmen Ort ruhen, bis die Hefe ihre Arbeit getan hat. Am Abend wird er auf"
)


@pytest.mark.parametrize(
    "second",
    [
        "Sure! Here is the rest",
        "Sure, the rest is",
        "Certainly.",
        "“Of course — here",
        "Here's the continuation:",
        "Continuing exactly where it stopped: and",
        "I\u2019m sorry about that.",
        "Natürlich! Der Rest",
        "Voici la suite",
        "Конечно! Вот",
        "当然可以。",
        "물론입니다. 이어서",
    ],
)
def test_remark_is_recognised(second: str) -> None:
    assert begins_with_remark(second)


@pytest.mark.parametrize(
    "second",
    [
        "sure of it, she went",
        "Surely not",
        "Sure enough, it rained",
        "of course",
        "Hereafter it is",
        "当然这也不难",
        "Sorrow and joy",
    ],
)
def test_similar_text_is_not_a_remark(second: str) -> None:
    assert not begins_with_remark(second)


@pytest.mark.parametrize(
    ("shown", "second"),
    [
        ("It rained and the", "The streets were wet"),
        ("It rained and the", "“Streets are wet"),
        ("It rained, and", "Streets"),
        ("It rained (and", "Streets"),
        ("It rained \u2013", "Streets"),
        ("It rained and the", "## Streets"),
        ("It rained and the", "1. the streets"),
        ("It rained and the", "- Streets"),
        ("It rained and the", "| Street | Rain |"),
        ("Дождь шёл, и", "Улицы были мокрыми"),
        (GERMAN, "Der Teig ist fertig"),
        (GERMAN.removesuffix(" auf"), "Brot braucht Wärme"),
        ("```python\nx =", "You can write this"),
        ("```python\nx =", "```python\nimport re"),
        ("so use `", "The function"),
    ],
)
def test_fresh_start_is_recognised(shown: str, second: str) -> None:
    assert starts_over(shown, second)


@pytest.mark.parametrize(
    ("shown", "second"),
    [
        ("It rained and the", "streets were wet"),
        ("It rained and the", "- or so they say - streets"),
        ("It rained.", "The streets"),
        ('He said: "', "The streets"),
        ('"It rained."', "The streets"),
        ("It rained and\n", "The streets"),
        ("Here is why:", "The streets"),
        ("- rain\n-", "Streets"),
        ("- rain\n- wind and", "- Streets"),
        ("| rain | wet |", "| Streets |"),
        ("## ", "Streets"),
        ("My sister and", "I went home"),
        ("It is sent over", "HTTP"),
        ("It raises a", "TypeError"),
        ("That day she met Anna there. It was late, and", "Anna went home"),
        ("雨が降って", "道が濡れた"),
        (GERMAN, "Mehl ausgerollt"),
        ("```python\nx =", "Path(name)"),
        ("```\nend\n```", "The code"),
    ],
)
def test_continuation_is_not_a_fresh_start(shown: str, second: str) -> None:
    assert not starts_over(shown, second)


@pytest.mark.parametrize(
    ("shown", "second", "size"),
    [
        ("It rained and the", "...and the streets", 3),
        ("It rained and the", " … and the streets", 3),
        ("... and the", "... and the streets", 0),
        (".", "... and the streets", 0),
        ("```py\nx = 1\ny =", "```py\ny = 2", 0),
        ("So:\n```py\nx = 1\ny =", "```py\ny = 2", 6),
        ("So:\n```py\nx = 1\n```", "```py\ny = 2", 0),
        ("It rained", "and", 0),
    ],
)
def test_lead_in_before_a_repetition(shown: str, second: str, size: int) -> None:
    assert lead_in(shown, second) == size
