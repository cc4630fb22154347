"""`GenerateContentResponse`s.

Only the fields that are used are declared. Shapes come from the Gemini API reference,
"GenerateContentResponse", "Candidate" and "UsageMetadata". Google omits fields that are zero or
empty, as protocol buffers do in JSON.
"""

import msgspec
from msgspec import Raw, Struct

from actors.providers.formats.lenient_fields import NULL, FrameType, Number


class FunctionCall(Struct, gc=False):
    id: str | None = None
    name: str | None = None
    args: Raw = NULL


class Part(Struct, gc=False, rename="camel"):
    text: str | None = None
    thought: bool = False
    function_call: FunctionCall | None = None


class Content(Struct, gc=False):
    parts: list[Part] | None = None


class Candidate(Struct, gc=False, rename="camel"):
    content: Content | None = None
    finish_reason: str | None = None
    finish_message: str | None = None
    index: Number | None = None
    logprobs_result: Raw = NULL


class PromptFeedback(Struct, gc=False, rename="camel"):
    block_reason: str | None = None


class UsageMetadata(Struct, gc=False, rename="camel"):
    prompt_token_count: Number | None = None
    tool_use_prompt_token_count: Number | None = None
    cached_content_token_count: Number | None = None
    candidates_token_count: Number | None = None
    thoughts_token_count: Number | None = None


class Frame(Struct, gc=False, rename="camel"):
    """One event of a stream, or a whole answer."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: UsageMetadata | None = None
    response_id: str | None = None
    error: Raw = NULL


class Token(Struct, gc=False, rename="camel"):
    """A token and its log probability."""

    token: str = ""
    log_probability: float = 0.0


class TopCandidates(Struct, gc=False):
    candidates: list[Token] = []


class Logprobs(Struct, gc=False, rename="camel"):
    """A `LogprobsResult`: the chosen tokens and, for each, the most likely candidates."""

    chosen_candidates: list[Token] = []
    top_candidates: list[TopCandidates] = []


FRAME = FrameType(Frame)
read_logprobs = msgspec.json.Decoder(Logprobs).decode
_ARRAY = msgspec.json.Decoder(list[Raw])


def read_array(data: bytes) -> list[bytes]:
    """Return the frames of a stream sent as one array. Raises `msgspec.DecodeError`."""
    try:
        return [bytes(one) for one in _ARRAY.decode(data)]
    except RecursionError as error:
        raise msgspec.DecodeError("nested too deeply") from error
