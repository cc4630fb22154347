"""Tests of the words with which servers report a prompt that is too long for the model."""

import pytest

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import FailureKind, UpstreamFailure

TOO_LONG = {
    "AI21": "Prompt has 32769 tokens, but the configured context size is 32768 tokens",
    "Anthropic": "prompt is too long: 208310 tokens > 200000 maximum",
    "Anthropic with max_tokens": (
        "input length and `max_tokens` exceed context limit: 190000 + 32000 > 200000, decrease"
        " input length or `max_tokens` and try again"
    ),
    "Azure": (
        "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in"
        " 300000 tokens."
    ),
    "Bedrock": "Input is too long for requested model.",
    "Bedrock, Cohere": "Too many input tokens. Max input tokens: 8192, request input tokens: 9000",
    "Cerebras": "Please reduce the length of the messages or completion. Current length is 9000",
    "Cloudflare": (
        "The estimated number of input and maximum output tokens (9000) exceeded this model"
        " context window limit (8192)."
    ),
    "Cohere": "too many tokens: size limit exceeded by 11326 tokens. Try using fewer inputs.",
    "Copilot": "prompt token count of 128001 exceeds the limit of 128000",
    "DashScope": "Range of input length should be [1, 30720]",
    "DashScope, Chinese": "输入长度超过最大长度",
    "Fireworks": "The prompt is too long: 200001, model maximum context length: 131072",
    "Gemini": (
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."
    ),
    "GitHub Models": "Request body too large for gpt-4o model. Max size: 8000 tokens.",
    "Kimi": "Invalid request: Your request exceeded model token limit: 128000 (requested: 130000)",
    "LM Studio": (
        "The number of tokens to keep from the initial prompt is greater than the context length."
    ),
    "MiniMax": "invalid params, context window exceeds limit",
    "Mistral": (
        "Prompt contains 65673 tokens and 0 draft tokens, too large for model with 32768 maximum"
        " context length"
    ),
    "Ollama": "prompt too long; exceeded max context length by 100 tokens",
    "Ollama, embeddings": "the input length exceeds the context length",
    "OpenAI": (
        "This model's maximum context length is 128000 tokens. However, your messages resulted in"
        " 200000 tokens."
    ),
    "OpenAI Responses": "Your input exceeds the context window of this model.",
    "OpenRouter": (
        "This endpoint's maximum context length is 131072 tokens. However, you requested about"
        " 140000 tokens (130000 of text input, 10000 in the output)."
    ),
    "SGLang": "The input (210000 tokens) is longer than the model's context length (200000).",
    "SGLang, requested": (
        "Requested token count exceeds the model's maximum context length of 32768 tokens."
    ),
    "TGI": "`inputs` must have less than 4096 tokens. Given: 5000",
    "TGI with max_new_tokens": (
        "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs` tokens"
    ),
    "Vertex": (
        "Unable to submit request because the input token count is 1200000 but model only supports"
        " up to 1048576."
    ),
    "Volcengine": "Total tokens of image and text exceed max message tokens",
    "Zhipu": "Prompt exceeds max length",
    "llama.cpp": "the request exceeds the available context size (4096 tokens), try increasing it",
    "llama.cpp, while generating": "Context size has been exceeded.",
    "llama-cpp-python": "Requested tokens (9000) exceed context window of 2048",
    "vLLM": (
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192. Make"
        " sure that `max_model_len` is no smaller than the number of text tokens."
    ),
    "vLLM with max_tokens": (
        "'max_tokens' or 'max_completion_tokens' is too large: 32000. This model's maximum context"
        " length is 32768 tokens and your request has 9000 input tokens."
    ),
    "watsonx": "the number of input tokens 4097 cannot exceed the total tokens limit 4096",
    "xAI": ("This model's maximum prompt length is 131072 but the request contains 537812 tokens."),
}

SOMETHING_ELSE = [
    "'max_tokens': Range of max_tokens should be [1, 8192]",
    "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    "At least one of the image dimensions exceed max allowed size: 8000 pixels",
    "Input should be less than or equal to 2",
    "Invalid 'tools[0].function.name': string too long. Expected a maximum length of 64.",
    "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 40000.",
    "The image is too large: maximum 5 MB",
    "The input schema is too large",
    "The maximum tokens you requested exceeds the model limit of 4096.",
    "This model does not support the context window extension",
    "Too many images and documents: 101 + 0 > 100",
    "Too many tokens, please wait before trying again.",
    "You have exceeded your token quota",
    "max_tokens is too large: 5000. This model supports at most 4096 completion tokens.",
    "max_tokens: 200000 > 64000, which is the maximum allowed number of output tokens",
    "prompt_cache_key: string too long",
    "temperature must be at most 2",
]

WAYS = [
    (FailureKind.REJECTED, 400),
    (FailureKind.REJECTED, 413),
    (FailureKind.REJECTED, 422),
    (FailureKind.SERVER_ERROR, 500),
    (FailureKind.IN_STREAM_ERROR, 400),
    (FailureKind.IN_STREAM_ERROR, None),
]


@pytest.mark.parametrize(("kind", "status"), WAYS)
@pytest.mark.parametrize("server", TOO_LONG)
def test_prompt_that_is_too_long_is_recognised(
    server: str, kind: FailureKind, status: int | None
) -> None:
    failure = UpstreamFailure(kind, TOO_LONG[server], status=status)
    assert failure_class_of(failure) is FailureClass.CONTEXT_LENGTH


@pytest.mark.parametrize(("kind", "status"), WAYS)
@pytest.mark.parametrize("message", SOMETHING_ELSE)
def test_other_limits_are_not_taken_for_it(
    message: str, kind: FailureKind, status: int | None
) -> None:
    failure = UpstreamFailure(kind, message, status=status)
    assert failure_class_of(failure) is not FailureClass.CONTEXT_LENGTH


@pytest.mark.parametrize("field", ["code", "type"])
@pytest.mark.parametrize(
    "name", ["context_length_exceeded", "exceed_context_size_error", "Tokens_Limit_Reached"]
)
def test_code_or_type_says_it_whatever_the_words_are(name: str, field: str) -> None:
    failure = UpstreamFailure(FailureKind.REJECTED, "No.", status=400)
    setattr(failure, field, name)
    assert failure_class_of(failure) is FailureClass.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("param", "too_long"),
    [(None, True), ("messages[2].content", True), ("tools[0].function.name", False)],
)
def test_long_string_is_a_long_prompt_only_in_the_prompt(param: str | None, too_long: bool) -> None:
    code = "string_above_max_length"
    failure = UpstreamFailure(FailureKind.REJECTED, "Too long.", status=400, code=code, param=param)
    assert (failure_class_of(failure) is FailureClass.CONTEXT_LENGTH) is too_long


def test_tokens_over_time_are_a_rate_limit() -> None:
    words = "Too many tokens, please wait before trying again."
    failure = UpstreamFailure(FailureKind.REJECTED, words, status=429)
    assert failure_class_of(failure) is FailureClass.RATE_LIMITED
