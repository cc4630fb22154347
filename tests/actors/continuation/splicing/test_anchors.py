"""Tests of anchor rating."""

import pytest

from actors.continuation.splicing.anchors import Anchor, judge


@pytest.mark.parametrize(
    ("before", "anchor", "after", "expected"),
    [
        ("we walked ", "along the quay", " to", Anchor.PROOF),
        ("we walked ", "along", " the quay", Anchor.PROOF),
        ("x² + 12x ", "+ 9 =", " 0", Anchor.PROOF),
        ("this ", "is", " it", Anchor.UNCLEAR),
        ("I saw ", "a", " fox", Anchor.UNCLEAR),
        ("in the house and in ", "the", "atre", Anchor.UNCLEAR),
        ("behind our ", "under", "study", Anchor.PROOF),
        ("an under and our ", "under", "study", Anchor.UNCLEAR),
        ("yan ", "yan", "a", Anchor.UNCLEAR),
        ("the ca", "t", "here", Anchor.CHANCE),
        ("na", "tion", " of", Anchor.UNCLEAR),
        ("inter", "nationalisation", " of", Anchor.PROOF),
        ("It rained. ", "The", " fox", Anchor.UNCLEAR),
        ("It rained. ", "The old fox", " ran", Anchor.LIKELY),
        ("It rained. ", "The old fox that had slept all day in its old warm den", "", Anchor.PROOF),
        ("a list:\n- ", "Two levers", " of", Anchor.LIKELY),
        ("a list:\n- ", "two levers", " of", Anchor.PROOF),
        ("Do this:\n\n1. Open it.\n", "2.", " Close it", Anchor.PROOF),
        ("Do this:\n\n", "1.", " Open it", Anchor.UNCLEAR),
        ("a list:\n- one\n", "-", " two", Anchor.UNCLEAR),
        ("take the ", "**", "bold** one", Anchor.UNCLEAR),
        ("f(g(x", ")", ")", Anchor.CHANCE),
        ("wait", "...", " and", Anchor.CHANCE),
        ("a line\n", "----------", "-----", Anchor.UNCLEAR),
        ("今天我们去", "公园散步", "。", Anchor.PROOF),
        ("今天我们去", "公园", "散步", Anchor.LIKELY),
        ("今天我们去", "公", "园", Anchor.UNCLEAR),
        ("see 👩🏽", "\u200d🚀 🏳️", "\u200d🌈", Anchor.LIKELY),
    ],
)
def test_anchor_rating(before: str, anchor: str, after: str, expected: Anchor) -> None:
    assert judge(before, anchor, after) is expected
