"""Tests of the Responses decoder: events to chunks, with nothing lost or doubled at any cut."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.providers.formats.openai_responses.decoder import (
    ResponsesDecoder,
    ResponsesWholeDecoder,
)
from actors.turn.chunks import (
    Chunk,
    FinishChunk,
    MessagePhaseChunk,
    NativeItemChunk,
    ReasoningChunk,
    ReasoningStateChunk,
    RefusalChunk,
    SkippedChunk,
    TextChunk,
    ToolCallChunk,
    UsageChunk,
)
from actors.turn.model_call import FailureKind, UpstreamFailure
from actors.turn.outcome import Reason, Usage
from tests.support.decoder_feeds import (
    CUTS,
    check_any,
    cut_everywhere,
    decode_document,
    drained,
    failed,
)
from tests.support.scripted_connections import pieces_of

USAGE = {
    "input_tokens": 5,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 12,
}
SEEN = UsageChunk(Usage(input_tokens=5, output_tokens=7, cached_input_tokens=4, reasoning_tokens=2))


def sse(type: str, **fields: Any) -> bytes:
    data = json.dumps({"type": type, **fields}, ensure_ascii=False).encode()
    return b"event: %s\ndata: %s\n\n" % (type.encode(), data)


def text(delta: str, item: int = 0, part: int = 0) -> bytes:
    return sse("response.output_text.delta", output_index=item, content_index=part, delta=delta)


def added(item: dict[str, Any], at: int = 0) -> bytes:
    return sse("response.output_item.added", output_index=at, item=item)


def done(item: dict[str, Any], at: int = 0) -> bytes:
    return sse("response.output_item.done", output_index=at, item=item)


def ended(*output: dict[str, Any], status: str = "completed", **fields: Any) -> bytes:
    return sse(f"response.{status}", response={"status": status, "output": [*output], **fields})


def message(*texts: str) -> dict[str, Any]:
    return {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []} for text in texts],
    }


PHASED = message("ab") | {"phase": "commentary"}


def refused(text: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "refusal", "refusal": text}]}


def reasoning(*summaries: str) -> dict[str, Any]:
    return {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": text} for text in summaries],
    }


def function(id: str, name: str, arguments: str = "") -> dict[str, Any]:
    return {
        "type": "function_call",
        "id": f"fc_{id}",
        "call_id": id,
        "name": name,
        "arguments": arguments,
    }


def custom(id: str, name: str, input: str, **fields: Any) -> dict[str, Any]:
    return {"type": "custom_tool_call", "call_id": id, "name": name, "input": input, **fields}


def native(item: dict[str, Any]) -> NativeItemChunk:
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    return NativeItemChunk("openai-responses", text)


def chunks_of(*events: bytes) -> list[Chunk]:
    """Return the chunks of a valid answer."""
    chunks, failure = drained(ResponsesDecoder(), [b"".join(events)])
    assert failure is None
    return chunks


def failure_of(*events: bytes) -> tuple[list[Chunk], UpstreamFailure]:
    return failed(ResponsesDecoder(), [b"".join(events)])


THOUGHT = {"output_index": 0, "summary_index": 0}
SAID = {"output_index": 1, "content_index": 0}
PART = {"type": "output_text", "text": "", "annotations": []}
SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "€"}}
ANSWER = b"".join(
    [
        sse("response.created", response={"status": "in_progress", "output": [], "usage": None}),
        sse("response.in_progress", response={"status": "in_progress", "output": []}),
        added(reasoning()),
        sse("response.reasoning_summary_part.added", **THOUGHT, part={"type": "summary_text"}),
        sse("response.reasoning_summary_text.delta", **THOUGHT, delta="h"),
        sse("response.reasoning_summary_text.delta", **THOUGHT, delta="m"),
        sse("response.reasoning_summary_text.done", **THOUGHT, text="hm"),
        sse("response.reasoning_summary_part.done", **THOUGHT,
            part={"type": "summary_text", "text": "hm"}),
        done(reasoning("hm")),
        added({"type": "message", "content": []}, 1),
        sse("response.content_part.added", **SAID, part=PART),
        text("Grü", 1),
        b": ping\n\n",
        text("ß €", 1),
        text("", 1),
        sse("response.output_text.annotation.added", **SAID, annotation={}),
        sse("response.output_text.done", **SAID, text="Grüß €"),
        sse("response.content_part.done", **SAID, part={"type": "output_text", "text": "Grüß €"}),
        sse("response.content_part.added", output_index=1, content_index=1,
            part={"type": "refusal", "refusal": ""}),
        sse("response.refusal.delta", output_index=1, content_index=1, delta="no"),
        sse("response.refusal.done", output_index=1, content_index=1, refusal="no"),
        done({"type": "message", "content": [{"type": "output_text", "text": "Grüß €"},
                                             {"type": "refusal", "refusal": "no"}]}, 1),
        added(function("c1", "f"), 2),
        sse("response.function_call_arguments.delta", output_index=2, delta='{"a'),
        added(function("c2", "g"), 4),
        sse("response.function_call_arguments.delta", output_index=2, delta='":1}'),
        sse("response.function_call_arguments.delta", output_index=4, delta="{}"),
        sse("response.function_call_arguments.done", output_index=2, arguments='{"a":1}'),
        done(function("c1", "f", '{"a":1}'), 2),
        sse("response.function_call_arguments.done", output_index=4, arguments="{}"),
        done(function("c2", "g", "{}"), 4),
        added(SEARCH | {"status": "in_progress"}, 3),
        done(SEARCH, 3),
        added(custom("c3", "p", "", namespace="n"), 5),
        sse("response.custom_tool_call_input.delta", output_index=5, delta="*** "),
        sse("response.custom_tool_call_input.delta", output_index=5, delta="€"),
        sse("response.custom_tool_call_input.done", output_index=5, input="*** €"),
        done(custom("c3", "p", "*** €", namespace="n"), 5),
        ended(
            reasoning("hm"),
            {"type": "message", "content": [{"type": "output_text", "text": "Grüß €"},
                                            {"type": "refusal", "refusal": "no"}]},
            function("c1", "f", '{"a":1}'),
            SEARCH,
            function("c2", "g", "{}"),
            custom("c3", "p", "*** \u20ac", namespace="n"),
            usage=USAGE,
        ),
        b"data: nobody reads this\n\n",
    ]
)  # fmt: skip
CHUNKS: list[Chunk] = [
    ReasoningChunk("h"),
    ReasoningChunk("m"),
    TextChunk("Grü"),
    TextChunk("ß €"),
    RefusalChunk("no"),
    ToolCallChunk(0, "c1", "f", ""),
    ToolCallChunk(0, None, None, '{"a'),
    ToolCallChunk(1, "c2", "g", ""),
    ToolCallChunk(0, None, None, '":1}'),
    ToolCallChunk(1, None, None, "{}"),
    native(SEARCH),
    ToolCallChunk(2, "c3", "p", "", "custom", '{"namespace":"n"}'),
    ToolCallChunk(2, None, None, "*** ", "custom"),
    ToolCallChunk(2, None, None, "€", "custom"),
    SEEN,
    FinishChunk(Reason.TOOL_CALLS),
]


def test_an_answer_cut_everywhere() -> None:
    assert cut_everywhere(ResponsesDecoder, ANSWER) == (CHUNKS, None)


@given(st.lists(st.text(min_size=1), max_size=8), CUTS, st.sampled_from(["\n", "\r\n", "\r"]))
def test_any_text_survives_any_cut(texts: list[str], cuts: list[int], newline: str) -> None:
    stream = b"".join(map(text, texts)) + ended(message("".join(texts)))
    chunks, failure = drained(
        ResponsesDecoder(), pieces_of(stream.replace(b"\n", newline.encode()), cuts)
    )
    assert failure is None
    assert chunks == [*map(TextChunk, texts), FinishChunk(Reason.STOP)]


TEXTS = st.lists(st.lists(st.text(max_size=4), max_size=4), min_size=1, max_size=4)


@given(TEXTS, st.booleans(), st.booleans(), st.booleans(), st.booleans())
def test_omitted_events_lose_and_double_nothing(
    items: list[list[str]], deltas: bool, texts: bool, parts: bool, wholes: bool
) -> None:
    """The server repeats each text up to five times, at least in the final answer."""
    stream: list[bytes] = []
    for at, pieces in enumerate(items):
        place = {"output_index": at, "content_index": 0}
        whole = "".join(pieces)
        if deltas:
            stream += [text(piece, at) for piece in pieces]
        if texts:
            stream.append(sse("response.output_text.done", **place, text=whole))
        if parts:
            part = {"type": "output_text", "text": whole}
            stream.append(sse("response.content_part.done", **place, part=part))
        if wholes:
            stream.append(done(message(whole), at))
    stream.append(ended(*[message("".join(pieces)) for pieces in items]))
    said = [chunk.text for chunk in chunks_of(*stream) if isinstance(chunk, TextChunk)]
    assert "".join(said) == "".join(map("".join, items))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "delta", "text", "item", "part", "response", "error", "output",
                         "content", "summary", "usage", "output_index", "call_id", "arguments",
                         "refusal", "logprobs", "status", "object", "input_tokens"]),
        inner | st.sampled_from(["message", "function_call", "output_text", "refusal"]),
        max_size=4),
    max_leaves=12,
)  # fmt: skip
TYPES = st.sampled_from(
    [
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.content_part.added",
        "response.content_part.done",
        "response.reasoning_summary_part.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.new",
        "error",
    ]
)


def typed(pair: tuple[str, Any]) -> bytes:
    type, frame = pair
    fields = {**frame, "type": type} if isinstance(frame, dict) else frame
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


@given(st.lists(st.tuples(TYPES, JSON).map(typed), max_size=4), st.binary(max_size=30), CUTS)
def test_no_frame_breaks_the_decoder(frames: list[bytes], junk: bytes, cuts: list[int]) -> None:
    stream = b"".join(frames) + b"data: " + junk + b"\n\n"
    check_any(ResponsesDecoder, stream, cuts)


@given(JSON | st.dictionaries(st.just("output"), JSON))
def test_no_document_breaks_the_decoder(document: Any) -> None:
    chunks, kind = whole(json.dumps(document).encode())
    assert kind or any(isinstance(chunk, FinishChunk) for chunk in chunks)


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("completed", None, Reason.STOP),
        ("incomplete", {"reason": "max_output_tokens"}, Reason.LENGTH),
        ("incomplete", {"reason": "content_filter"}, Reason.CONTENT_FILTER),
        ("incomplete", {"reason": "steered"}, Reason.LENGTH),
        ("incomplete", None, Reason.LENGTH),
    ],
)
def test_finishes(status: str, details: dict[str, str] | None, reason: Reason) -> None:
    last = ended(message("x"), status=status, incomplete_details=details)
    assert chunks_of(text("x"), last) == [TextChunk("x"), FinishChunk(reason)]
    document = {"status": status, "output": [message("x")], "incomplete_details": details}
    assert whole(json.dumps(document).encode()) == ([TextChunk("x"), FinishChunk(reason)], None)


def test_tool_call_cut_by_the_token_limit_finishes_with_length() -> None:
    last = ended(status="incomplete", incomplete_details={"reason": "max_output_tokens"})
    assert chunks_of(added(function("c", "f")), last)[-1] == FinishChunk(Reason.LENGTH)


def test_only_the_first_end_counts() -> None:
    decoder = ResponsesDecoder()
    assert decoder.feed(ended() + ended(status="incomplete")) == [FinishChunk(Reason.STOP)]
    assert (decoder.saw_end_marker, decoder.over) == (True, True)
    assert decoder.feed(text("late")) == []
    assert decoder.end() == []


SAYINGS = [
    [text("Hel"), text("lo")],
    [sse("response.output_text.done", output_index=0, content_index=0, text="Hello")],
    [sse("response.content_part.done", output_index=0, content_index=0,
         part={"type": "output_text", "text": "Hello"})],
    [done(message("Hello"))],
    [],
]  # fmt: skip


@pytest.mark.parametrize("saying", range(len(SAYINGS)))
def test_late_text_is_neither_lost_nor_doubled(saying: int) -> None:
    for later in range(saying, len(SAYINGS)):
        events = SAYINGS[saying] + (SAYINGS[later] if later > saying else [])
        chunks = chunks_of(*events, ended(message("Hello")))
        assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == "Hello"


def test_text_end_without_delta_is_added() -> None:
    said = sse("response.output_text.done", output_index=0, content_index=0, text="Hello")
    assert chunks_of(text("Hel"), said, ended(message("Hello, you"))) == [
        TextChunk("Hel"),
        TextChunk("lo"),
        TextChunk(", you"),
        FinishChunk(Reason.STOP),
    ]


def test_shown_text_wins_over_a_different_final_text() -> None:
    assert chunks_of(text("Hello"), done(message("Bye")), ended(message("Bye"))) == [
        TextChunk("Hello"),
        FinishChunk(Reason.STOP),
    ]


def test_changing_indexes_double_nothing() -> None:
    delta = sse("response.output_text.delta", delta="Hello")
    assert chunks_of(delta, done(message("Hello"), 3), ended(reasoning(), message("Hello"))) == [
        TextChunk("Hello"),
        FinishChunk(Reason.STOP),
    ]


def test_repeated_text_is_kept() -> None:
    assert chunks_of(ended(message("ha", "ha"), message("ha"))) == [
        TextChunk("ha"),
        TextChunk("ha"),
        TextChunk("ha"),
        FinishChunk(Reason.STOP),
    ]
    late = [done(message("ha"), 0), done(message("ha"), 1), ended(message("ha"), message("ha"))]
    chunks = chunks_of(*late)
    assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == "haha"


def test_initial_text_of_a_part_is_read() -> None:
    part = {"type": "output_text", "text": "Hel"}
    assert chunks_of(
        sse("response.content_part.added", output_index=0, content_index=0, part=part),
        text("lo"),
        ended(message("Hello")),
    ) == [TextChunk("Hel"), TextChunk("lo"), FinishChunk(Reason.STOP)]


def test_the_parts_of_a_summary_are_paragraphs() -> None:
    def thought(delta: str, part: int) -> bytes:
        return sse("response.reasoning_summary_text.delta", summary_index=part, delta=delta)

    expected: list[Chunk] = [
        ReasoningChunk("one"),
        ReasoningChunk("\n\n"),
        ReasoningChunk("two"),
        FinishChunk(Reason.STOP),
    ]
    assert (
        chunks_of(thought("one", 0), thought("two", 1), ended(reasoning("one", "two"))) == expected
    )
    assert chunks_of(ended(reasoning("one", "two"))) == expected


def test_plain_reasoning_text() -> None:
    item = {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "hmm"}]}
    assert chunks_of(
        sse("response.reasoning_text.delta", output_index=0, content_index=0, delta="hm"),
        sse("response.reasoning_text.done", output_index=0, content_index=0, text="hmm"),
        done(item),
        ended(item),
    ) == [ReasoningChunk("hm"), ReasoningChunk("m"), FinishChunk(Reason.STOP)]


def test_refusals_in_one_event() -> None:
    assert chunks_of(
        sse("response.refusal.done", output_index=0, content_index=0, refusal="No."),
        ended(refused("No.")),
    ) == [RefusalChunk("No."), FinishChunk(Reason.STOP)]
    assert chunks_of(ended(refused("No."))) == [RefusalChunk("No."), FinishChunk(Reason.STOP)]


CALL_SAYINGS = [
    [
        added(function("c", "f")),
        sse("response.function_call_arguments.delta", output_index=0, delta="{"),
        sse("response.function_call_arguments.delta", output_index=0, delta="}"),
    ],
    [
        added(function("c", "f")),
        sse("response.function_call_arguments.done", output_index=0, arguments="{}"),
    ],
    [added(function("c", "f", "{}"))],
    [done(function("c", "f", "{}"))],
    [],
]


@pytest.mark.parametrize("saying", range(len(CALL_SAYINGS)))
def test_late_tool_calls_are_neither_lost_nor_doubled(saying: int) -> None:
    for whole in ([], [done(function("c", "f", "{}"))]):
        chunks = chunks_of(*CALL_SAYINGS[saying], *whole, ended(function("c", "f", "{}")))
        *calls, last = chunks
        assert last == FinishChunk(Reason.TOOL_CALLS)
        heads = [(c.id, c.name) for c in calls if isinstance(c, ToolCallChunk) and c.id]
        assert heads == [("c", "f")]
        assert "".join(c.arguments for c in calls if isinstance(c, ToolCallChunk)) == "{}"


@pytest.mark.parametrize("saying", range(8))
def test_call_that_is_complete_when_it_is_added_is_not_doubled(saying: int) -> None:
    calls = {
        "function": (function("c", "n", '{"a":1}'), "response.function_call_arguments"),
        "custom": (custom("c", "n", '{"a":1}'), "response.custom_tool_call_input"),
    }
    for kind, (item, name) in calls.items():
        deltas = [sse(f"{name}.delta", delta=piece) for piece in ('{"a', '":1}')]
        chunks = chunks_of(
            added(item),
            *(deltas if saying & 1 else []),
            *([done(item)] if saying & 2 else []),
            ended(item) if saying & 4 else ended(),
        )
        pieces = [chunk for chunk in chunks if isinstance(chunk, ToolCallChunk)]
        assert "".join(chunk.arguments for chunk in pieces) == '{"a":1}'
        assert {chunk.kind for chunk in pieces} == {kind}


def test_call_that_begins_when_it_is_added_is_continued() -> None:
    delta = sse("response.function_call_arguments.delta", delta='":1}')
    chunks = chunks_of(added(function("c", "n", '{"a')), delta, ended())
    assert [chunk.arguments for chunk in chunks[:2] if isinstance(chunk, ToolCallChunk)] == [
        '{"a',
        '":1}',
    ]


def test_two_identical_tool_calls_are_kept() -> None:
    said = [function("a", "f", "{}"), function("b", "f", "{}")]
    assert chunks_of(done(said[0], 0), done(said[1], 1), ended(*said))[:-1] == [
        ToolCallChunk(0, "a", "f", "{}"),
        ToolCallChunk(1, "b", "f", "{}"),
    ]
    assert chunks_of(
        added(function("a", "f"), 0),
        added(function("b", "f"), 1),
        sse("response.function_call_arguments.done", output_index=0, arguments="{}"),
        sse("response.function_call_arguments.done", output_index=1, arguments="{}"),
        ended(*said),
    )[:-1] == [
        ToolCallChunk(0, "a", "f", ""),
        ToolCallChunk(1, "b", "f", ""),
        ToolCallChunk(0, None, None, "{}"),
        ToolCallChunk(1, None, None, "{}"),
    ]


def test_tool_calls_without_indexes() -> None:
    def arguments(delta: str) -> bytes:
        return sse("response.function_call_arguments.delta", delta=delta)

    assert chunks_of(
        sse("response.output_item.added", item=function("a", "f")),
        arguments("1"),
        sse("response.output_item.added", item=function("b", "g")),
        arguments("2"),
        ended(function("a", "f", "1"), function("b", "g", "2")),
    )[:-1] == [
        ToolCallChunk(0, "a", "f", ""),
        ToolCallChunk(0, None, None, "1"),
        ToolCallChunk(1, "b", "g", ""),
        ToolCallChunk(1, None, None, "2"),
    ]


def test_tool_call_whose_name_arrives_last() -> None:
    assert chunks_of(
        sse("response.function_call_arguments.delta", output_index=1, delta="{}"),
        done(function("a", "f", "{}"), 1),
        ended(message(), function("a", "f", "{}")),
    )[:-1] == [
        ToolCallChunk(0, None, None, ""),
        ToolCallChunk(0, None, None, "{}"),
        ToolCallChunk(0, "a", "f", ""),
    ]


def test_usage_in_detail_or_not_at_all() -> None:
    def usage(figures: object) -> list[Chunk]:
        return chunks_of(ended(usage=figures))[:-1]

    assert usage(USAGE) == [SEEN]
    zero = {"input_tokens": 0, "output_tokens": 0}
    assert usage(zero) == [UsageChunk(Usage(input_tokens=0, output_tokens=0))]
    odd = {**zero, "input_tokens_details": {"cached_tokens": -5}, "output_tokens_details": None}
    assert usage(odd) == [UsageChunk(Usage(input_tokens=0, output_tokens=0))]
    for none in (None, {}, {"input_tokens": 1}, {"input_tokens": -1, "output_tokens": 1}):
        assert usage(none) == []


@pytest.mark.parametrize("absurd", [2**53 + 1, 10**20, 1e300])
def test_excessive_numbers_are_left_out(absurd: float) -> None:
    usage = {"input_tokens": absurd, "output_tokens": 1}
    assert chunks_of(text("a"), ended(message("a"), usage=usage)) == [
        TextChunk("a"),
        FinishChunk(Reason.STOP),
    ]
    delta = sse("response.output_text.delta", output_index=absurd, delta="a")
    assert chunks_of(delta, ended())[0] == TextChunk("a")


def test_logprobs_are_converted_to_chat_completions_form() -> None:
    logprobs = '[{"token": "a",  "logprob": -0.50, "top_logprobs": []}]'
    frame = 'data: {"type":"response.output_text.delta","delta":"a","logprobs":%s}\n\n'
    first, *_ = chunks_of((frame % logprobs).encode(), ended())
    assert first == TextChunk("a", f'{{"content":{logprobs},"refusal":null}}')
    first, *_ = chunks_of((frame % "[]").encode(), ended())
    assert first == TextChunk("a")


def test_logprobs_over_several_lines_come_in_one() -> None:
    lines = '{"type":"response.output_text.delta","delta":"a","logprobs":[', '{"token": "a"}', "]}"
    frame = "".join(f"data: {line}\n" for line in lines) + "\n"
    first, *_ = chunks_of(frame.encode(), ended())
    assert first == TextChunk("a", '{"content":[{"token":"a"}],"refusal":null}')


def test_unknown_events_are_ignored() -> None:
    assert chunks_of(
        sse("response.queued", response={}),
        sse("response.web_search_call.searching", output_index=0, item_id="ws"),
        sse("response.created", response=7),
        sse("response.from_the_future", delta={"a": 1}, item="x"),
        added({"type": "from_the_future"}),
        ended(),
    ) == [FinishChunk(Reason.STOP)]


ITEMS: list[dict[str, Any]] = [
    {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}},
    {"type": "file_search_call", "id": "fs_1", "status": "completed", "queries": ["a"]},
    {"type": "code_interpreter_call", "id": "ci_1", "code": "1+1", "container_id": "c"},
    {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "aGk="},
    {"type": "computer_call", "id": "cu_1", "call_id": "c", "action": {"type": "click"}},
    {"type": "local_shell_call", "id": "ls_1", "call_id": "c", "action": {"type": "exec"}},
    {"type": "shell_call", "id": "sh_1", "call_id": "c", "action": {"commands": ["ls"]}},
    {"type": "apply_patch_call", "id": "ap_1", "call_id": "c", "operation": {"type": "x"}},
    {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "s", "tools": []},
    {"type": "mcp_approval_request", "id": "mcpr_1", "name": "n", "arguments": "{}"},
    {"type": "mcp_call", "id": "mcp_1", "name": "n", "arguments": "{}", "output": "o"},
    {"type": "tool_search_call", "id": "ts_1", "call_id": "c", "arguments": {"query": "a"}},
    {"type": "tool_search_output", "id": "to_1", "call_id": "c", "tools": []},
    {"type": "additional_tools", "id": "at_1", "role": "developer", "tools": []},
    {"type": "compaction", "id": "cmp_1", "encrypted_content": "opaque"},
    {"type": "from_the_future", "content": [{"type": "hologram", "text": "x"}]},
]  # fmt: skip


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: str(item["type"]))
@pytest.mark.parametrize("saying", [0b01, 0b10, 0b11])
def test_items_of_other_types_are_passed_on_once_and_unchanged(
    item: dict[str, Any], saying: int
) -> None:
    finish = FinishChunk(Reason.STOP)
    events = [done(item)] if saying & 0b01 else []
    end = ended(item) if saying & 0b10 else ended()
    assert chunks_of(added({**item, "status": "in_progress"}), *events, end) == [
        native(item),
        finish,
    ]
    document = json.dumps({"status": "completed", "output": [item]}).encode()
    assert decode_document(ResponsesWholeDecoder(), document) == ([native(item), finish], None)


def test_two_equal_items_with_ids_are_kept_and_text_of_an_unknown_item_stays_text() -> None:
    first, second = ({"type": "web_search_call", "id": id} for id in ("ws_1", "ws_2"))
    text = {"type": "from_the_future", "content": [{"type": "output_text", "text": "x"}]}
    assert chunks_of(done(first), done(second, 1), done(text, 2), ended(first, second, text)) == [
        native(first),
        native(second),
        TextChunk("x"),
        FinishChunk(Reason.STOP),
    ]


@pytest.mark.parametrize("saying", [0b01, 0b10, 0b11])
def test_encrypted_reasoning_is_passed_on_once_and_in_order(saying: int) -> None:
    search = {"type": "web_search_call", "id": "ws_1"}
    items = [reasoning() | {"encrypted_content": text} for text in ("a", "b")]
    items[1:1] = [search]
    items.append(message("c"))
    events = [
        event
        for at, item in enumerate(items)
        for event in (added({**item, "encrypted_content": "partial"}, at), done(item, at))
    ]
    chunks = chunks_of(*(events if saying & 0b01 else ()), ended(*items if saying & 0b10 else ()))
    states = [
        ReasoningStateChunk("openai-responses", f'{{"encrypted_content":"{text}"}}')
        for text in ("a", "b")
    ]
    assert chunks == [
        states[0],
        native(search),
        states[1],
        TextChunk("c"),
        FinishChunk(Reason.STOP),
    ]


def test_an_item_that_cannot_be_decoded_is_reported() -> None:
    huge = b'data: {"type":"response.output_item.done","item":{"type":"x","a":1e999}}\n\n'
    skipped, finish = chunks_of(huge, ended())
    assert isinstance(skipped, SkippedChunk)
    assert finish == FinishChunk(Reason.STOP)


def test_custom_call_known_only_by_its_events() -> None:
    assert chunks_of(
        sse("response.custom_tool_call_input.delta", delta="a"),
        sse("response.custom_tool_call_input.done", input="ab"),
        done(custom("c", "n", "ab")),
        ended(),
    ) == [
        ToolCallChunk(0, None, None, "", "custom"),
        ToolCallChunk(0, None, None, "a", "custom"),
        ToolCallChunk(0, None, None, "b", "custom"),
        ToolCallChunk(0, "c", "n", "", "custom"),
        FinishChunk(Reason.TOOL_CALLS),
    ]


def test_wrong_types_beside_text_are_tolerated() -> None:
    odd = message("c")
    odd["content"].append({"type": 7, "text": "x"})
    assert chunks_of(
        sse("response.output_text.delta", output_index="0", delta="a", logprobs=3, item=[]),
        sse("response.output_text.delta", content_index=None, delta="b"),
        done({**odd, "name": 7}, 1),
        ended(status="completed", usage="no", incomplete_details=3),
    ) == [
        TextChunk("a", '{"content":3,"refusal":null}'),
        TextChunk("b"),
        TextChunk("c"),
        FinishChunk(Reason.STOP),
    ]


@pytest.mark.parametrize(
    "data",
    ["keep-alive", "17", "[]", "{}", '{"choices": 3}', '{"type":7}', "\x00",
     '{"type":"response.output_text.delta","delta":5}', '{"type":"response.output_text.delta","de',
     '{"type":"response.output_item.added","item":7}', '{"type":"response.output_text.delta"'],
)  # fmt: skip
def test_a_frame_without_text_is_skipped(data: str) -> None:
    chunks = chunks_of(text("Hello"), b"data: " + data.encode() + b"\n\n", ended())
    assert chunks[0] == TextChunk("Hello")
    assert [type(chunk) for chunk in chunks[1:]] == [SkippedChunk, FinishChunk]


@pytest.mark.parametrize(
    "data",
    [
        b'{"type":"response.output_text.delta","delta":"lost',
        b'{"type":"response.output_text.delta","delta" : "lost"]',
        b'{"type":"response.output_text.delta","delta":"\xff"}',
        b'{"type":"response.function_call_arguments.done","arguments":"{',
        b'{"type":"response.completed","response":{"output":[{"content":[{"text":"lo',
    ],
)
def test_a_malformed_frame_with_text_fails_after_what_came_before(data: bytes) -> None:
    chunks, failure = failure_of(text("Hello"), b"data: " + data + b"\n\n", text("more"), ended())
    assert chunks == [TextChunk("Hello")]
    assert failure.kind is FailureKind.MALFORMED


ERRORS: list[tuple[bytes, str, str | None, str | None, int | None]] = [
    (sse("error", code="busy", message="Wait.", param=None), "Wait.", "busy", None, None),
    (sse("error", error={"message": "Wait.", "type": "t", "code": "c"}), "Wait.", "c", "t", None),
    (sse("error", status=429, error={"message": "W", "type": "t"}), "W", None, "t", 429),
    (sse("error", status=200, error={"message": "W"}), "W", None, None, None),
    (sse("error"), "the provider reported an error", None, None, None),
    (b'data: {"error":{"message":"busy","code":502}}\n\n', "busy", None, None, 502),
    (b'data: {"object":"error","message":"busy"}\n\n', "busy", None, None, None),
    (b"event: error\ndata: oh\n\n", "oh", None, None, None),
    (
        sse("response.failed", response={"error": {"code": "server_error", "message": "Oh."}}),
        "Oh.",
        "server_error",
        None,
        None,
    ),
    (sse("response.failed", response=None), "the provider reported an error", None, None, None),
    (
        sse("response.completed", response={"status": "failed"}),
        "the provider reported an error",
        None,
        None,
        None,
    ),
]


@pytest.mark.parametrize(("frame", "message", "code", "type", "status"), ERRORS)
def test_errors_in_the_stream(
    frame: bytes, message: str, code: str | None, type: str | None, status: int | None
) -> None:
    chunks, failure = failure_of(text("Hello"), frame, ended())
    assert chunks == [TextChunk("Hello")]
    assert (failure.kind, failure.message) == (FailureKind.IN_STREAM_ERROR, message)
    assert (failure.code, failure.type, failure.status) == (code, type, status)


def test_usage_of_a_failed_answer_is_reported() -> None:
    chunks, failure = failure_of(ended(status="failed", usage=USAGE, error={"message": "Oh."}))
    assert chunks == [SEEN]
    assert failure.message == "Oh."


def test_null_error_is_not_a_failure() -> None:
    assert chunks_of(sse("response.output_text.delta", delta="a", error=None), ended())[0] == (
        TextChunk("a")
    )


def test_failure_is_raised_by_the_next_call_and_all_later_ones() -> None:
    decoder = ResponsesDecoder()
    assert decoder.feed(text("Hello") + sse("error", message="x")) == [TextChunk("Hello")]
    assert decoder.over
    assert not decoder.saw_end_marker
    for _ in range(2):
        with pytest.raises(UpstreamFailure):
            decoder.feed(ended())
        with pytest.raises(UpstreamFailure):
            decoder.end()


def test_end_without_finish_is_truncation() -> None:
    hello = text("Hello")
    for stream in (hello, hello + ended()[:-40], b""):
        chunks, failure = failure_of(stream)
        assert chunks == [TextChunk("Hello")][: len(stream)]
        assert failure.kind is FailureKind.TRUNCATED


def test_last_line_is_optional() -> None:
    assert chunks_of(ended()[:-2]) == [FinishChunk(Reason.STOP)]


def test_messages_are_scrubbed() -> None:
    decoder = ResponsesDecoder(lambda text: text.replace("sk-1", "[secret]"))
    with pytest.raises(UpstreamFailure, match=r"^bad \[secret\]$"):
        decoder.feed(sse("error", message="bad sk-1"))


def whole(document: bytes) -> tuple[list[Chunk], FailureKind | None]:
    return decode_document(ResponsesWholeDecoder(), document)


def test_complete_answer_document() -> None:
    document = {
        "object": "response",
        "status": "completed",
        "error": None,
        "output": [
            reasoning("hm"),
            message("Hi"),
            function("a", "f", "{}"),
            function("b", "g", "{}"),
        ],
        "usage": USAGE,
    }
    assert whole(json.dumps(document).encode()) == (
        [
            ReasoningChunk("hm"),
            TextChunk("Hi"),
            ToolCallChunk(0, "a", "f", "{}"),
            ToolCallChunk(1, "b", "g", "{}"),
            SEEN,
            FinishChunk(Reason.TOOL_CALLS),
        ],
        None,
    )


@pytest.mark.parametrize(
    ("document", "chunks", "kind"),
    [
        (b'{"error":{"message":"x"}}', [], FailureKind.IN_STREAM_ERROR),
        (b'{"object":"error","message":"x"}', [], FailureKind.IN_STREAM_ERROR),
        (b'{"status":"failed","output":[]}', [], FailureKind.IN_STREAM_ERROR),
        (b'{"status":"cancelled","output":[]}', [], FailureKind.IN_STREAM_ERROR),
        (b'{"status":"in_progress","output":[]}', [], FailureKind.TRUNCATED),
        (b'{"output":[{"content":[{"text":"a', [], FailureKind.MALFORMED),
        (b"", [], FailureKind.TRUNCATED),
        (b" " * (8 * 2**20 + 1), [], FailureKind.MALFORMED),
        (b'{"output":[]}', [FinishChunk(Reason.STOP)], None),
    ],
)
def test_document_that_is_not_an_answer(
    document: bytes, chunks: list[Chunk], kind: FailureKind | None
) -> None:
    assert whole(document) == (chunks, kind)


@pytest.mark.parametrize("document", [b"{}", b"17", b'{"choices":[]}', b'{"output":'])
def test_document_of_another_kind(document: bytes) -> None:
    chunks, kind = whole(document)
    assert [type(chunk) for chunk in chunks] == [SkippedChunk]
    assert kind is FailureKind.TRUNCATED


def test_a_frame_that_is_nested_too_deeply_is_skipped() -> None:
    deep = b"data: " + b"[" * 100_000 + b"\n\n"
    first, skipped, _ = chunks_of(text("a"), deep, ended())
    assert first == TextChunk("a")
    assert isinstance(skipped, SkippedChunk)


def test_many_parts_are_read_in_linear_time() -> None:
    """Compare 20 000 parts with the shown text; quadratic work would take minutes."""
    many = 20_000
    chunks = chunks_of(done(message(*["x"] * many)), ended(message(*["x"] * many)))
    assert "".join(c.text for c in chunks if isinstance(c, TextChunk)) == "x" * many


@pytest.mark.parametrize(
    "events",
    [
        [added(message() | {"phase": "commentary"}), text("a"), text("b"), done(PHASED)],
        [added(message() | {"phase": "commentary"}), done(PHASED)],
        [done(PHASED)],
        [],
    ],
)
def test_phase_precedes_the_text_of_its_message(events: list[bytes]) -> None:
    final = message("c") | {"phase": "final_answer", "id": "msg_2"}
    chunks = chunks_of(*events, ended(PHASED, final))
    told: list[str] = []
    for chunk in chunks:
        if isinstance(chunk, MessagePhaseChunk) and told[-1:] != [chunk.phase]:
            told.append(chunk.phase)
        elif isinstance(chunk, TextChunk):
            told.append(chunk.text)
    assert "".join(told) == "commentaryabfinal_answerc"


def test_phase_of_a_message_that_has_been_seen_is_not_told() -> None:
    assert chunks_of(text("ab"), done(PHASED), ended(PHASED))[0] == TextChunk("ab")
    assert not any(
        isinstance(chunk, MessagePhaseChunk)
        for chunk in chunks_of(text("a"), done(PHASED), ended(PHASED))
    )
