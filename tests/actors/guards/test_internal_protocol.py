"""The result on protocol does not depend on cuts, and only what may become protocol is held."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.guards.checks.internal_protocol import GUARD
from actors.guards.leaks import protocol
from actors.guards.spec import GuardContext, SpanCheck

PIECES = (
    *(
        "<|start_header_id|>",
        "<|end_header_id|>",
        "<|im_start|>",
        "user",
        "<|im_end|>",
        "</s>",
        "<s>",
        "[INST]",
        "<tool_call>",
        "</tool_call>",
    ),
    *('{"name": "f", "arguments": {', '"a": "}"', "}}", "}", "[", "{", "<", "\n", "\n\n", " ", "a"),
    *('"', "“", "`", "```", "`x`", "[TOOL_CALLS]", "<function=f>", "</function>", "“<"),
)


def check() -> SpanCheck:
    made = GUARD.make(GuardContext())
    assert isinstance(made, SpanCheck)
    return made


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.data())
def test_result_does_not_depend_on_cuts(text: str, data: st.DataObject) -> None:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_LONGEST_FENCE", "_LONGEST_CODE", "_LONGEST_STRIKE"):
            patch.setattr(protocol, name, data.draw(st.sampled_from([8, 30, 200])))
        patch.setattr(protocol, "LONGEST", data.draw(st.sampled_from([30, 200])))
        found, begin = [], 0
        for cut in [*sorted(data.draw(st.sets(st.integers(0, 100)))), len(text)]:
            if begin <= cut < len(text):
                size = check().settle(text[begin:cut])
            elif cut == len(text):
                size = cut - begin
            else:
                continue
            piece = text[begin : begin + size]
            found += [(begin + span.begin, begin + span.end) for span in check().find(piece)]
            begin += size
        assert found == [(span.begin, span.end) for span in check().find(text)]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("A sentence of prose", 1),
        ("Less: a < b", 1),
        ("x = [1, 2", 1),
        ('{"city": "Paris", "n', 1),
        ("An `unfinished", 11),
        ("Done.<|im_e", 6),
        ('Done. <tool_call>{"name": "f"', 23),
        ("An `open" + " tick" * 50, 1),
        ("<tool_call>{" + "x" * protocol.LONGEST, 1),
        ("```\n" + "x" * protocol.LONGEST, 1),
    ],
)
def test_only_what_may_become_protocol_is_held(text: str, held: int) -> None:
    assert len(text) - check().settle(text) == held


@pytest.mark.parametrize(
    "unit", ["<", "[", "`", "```\n", "{\n", '{"name": "', "<tool_call>{", '"', "<s>", "<|a", '"[']
)
def test_any_text_takes_linear_time(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    started = time.thread_time()
    check().find(text)
    check().settle(text)
    assert time.thread_time() - started < 5
