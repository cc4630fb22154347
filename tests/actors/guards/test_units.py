"""Units depend on the text alone, however it is cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards import units
from actors.guards.units import LINE, SENTENCE, WORD, Unit


def test_sentences_end_with_a_mark_or_a_line() -> None:
    text = "Hello world. As v1.2 says, (yes!) \n\nline two… 本当。はい"
    parts = ["Hello world. ", "As v1.2 says, (yes!) \n\n", "line two… ", "本当。", "はい"]
    assert [sentence for _, sentence in SENTENCE.split(text)] == parts


@pytest.mark.parametrize("unit", [WORD, LINE, SENTENCE])
@given(text=st.text(alphabet="ab.! \n)。", max_size=60), cuts=st.sets(st.integers(0, 60)))
def test_cuts_do_not_change_units(unit: Unit, text: str, cuts: set[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(units, "LONGEST", 7)
        found: list[tuple[int, str]] = []
        begin = 0
        for end in [*sorted(cut for cut in cuts if cut < len(text)), len(text)]:
            size = unit.settled(text[begin:end])
            found += [(begin + at, part) for at, part in unit.split(text[begin : begin + size])]
            begin += size
        found += [(begin + at, part) for at, part in unit.split(text[begin:])]
        assert found == unit.split(text)
        assert all(len(part) <= 7 for _, part in found)
