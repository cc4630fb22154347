"""Strategy for arbitrary calls, from which every format must be able to build a request."""

from hypothesis import strategies as st

from actors.providers.formats.base import Format
from actors.turn.chat_messages import read_messages
from actors.turn.model_call import ModelCall

_MESSAGES = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "odd"])},
        optional={
            "content": st.none() | st.text(max_size=5) | st.lists(st.none() | st.dictionaries(
                st.sampled_from(["type", "text", "image_url"]), st.text(max_size=5))),
            "tool_calls": st.lists(st.none() | st.dictionaries(
                st.sampled_from(["id", "function"]), st.none() | st.text(max_size=5))),
            "tool_call_id": st.text(max_size=3),
        },
    ),
    max_size=5,
)  # fmt: skip
_PARAMETERS = [
    *("stop", "tools", "tool_choice", "response_format", "reasoning_effort", "n", "reasoning"),
    *("logit_bias", "max_tokens", "user"),
]


def any_calls(*own: str) -> st.SearchStrategy[ModelCall]:
    """Return a strategy for calls with common parameters and a format's `own` ones."""
    parameters = st.dictionaries(
        st.sampled_from([*_PARAMETERS, *own]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers() | st.dictionaries(
            st.just("type"), st.just("function"))) | st.dictionaries(st.just("type"), st.text()),
    )  # fmt: skip
    return st.builds(
        ModelCall,
        upstream_model=st.just("m"),
        messages=_MESSAGES.map(read_messages),
        parameters=parameters,
    )


def check_builds(format: Format, call: ModelCall) -> None:
    """Check that the format builds a request and reports nothing twice as left out."""
    assert format.build(call, None).body.startswith(b"{"), call
    left_out = format.unsupported(call)
    assert len(set(left_out)) == len(left_out), left_out
