"""Tests of failure classes, with statuses, codes and messages as providers send them."""

import pytest

from actors.turn.failure_class import FailureClass, failure_class_of
from actors.turn.model_call import FailureKind, UpstreamFailure

K = FailureKind
T = FailureClass

TPM = "on tokens per minute (TPM): Limit 6000, Requested 9000, please reduce your message size."

TABLE: list[tuple[FailureKind, int | None, str | None, str, FailureClass]] = [
    (K.REFUSED, None, None, "reset", T.CONNECTION),
    (K.CONNECT_TIMEOUT, None, None, "slow", T.TIMEOUT),
    (K.FIRST_BYTE_TIMEOUT, None, None, "slow", T.TIMEOUT),
    (K.FIRST_TOKEN_TIMEOUT, None, None, "slow", T.TIMEOUT),
    (K.IDLE_TIMEOUT, None, None, "silent", T.BROKEN),
    (K.TRUNCATED, None, None, "cut", T.BROKEN),
    (K.MALFORMED, None, None, "torn", T.BROKEN),
    (K.IN_STREAM_ERROR, None, None, "overloaded", T.BROKEN),
    (K.IN_STREAM_ERROR, 529, "overloaded_error", "overloaded", T.BROKEN),
    (K.IN_STREAM_ERROR, None, "content_filter", "no", T.CONTENT_FILTER),
    (K.MISFIT, None, None, "other words", T.MISFIT),
    (K.SERVER_ERROR, 500, None, "oops", T.SERVER_ERROR),
    (K.SERVER_ERROR, 503, None, "oops", T.SERVER_ERROR),
    (K.SERVER_ERROR, 529, None, "overloaded", T.SERVER_ERROR),
    (K.SERVER_ERROR, 200, None, "HTML", T.SERVER_ERROR),
    (K.SERVER_ERROR, 504, None, "gateway", T.TIMEOUT),
    (K.REJECTED, 408, None, "slow", T.TIMEOUT),
    (K.REJECTED, 429, None, "slow down", T.RATE_LIMITED),
    (K.REJECTED, 429, "rate_limit_exceeded", "slow down", T.RATE_LIMITED),
    (K.REJECTED, 429, "insufficient_quota", "pay", T.CREDENTIALS),
    (K.REJECTED, 429, None, "You exceeded your current quota, please check.", T.UNPAID),
    (K.REJECTED, 400, None, "Your credit balance is too low to access the API.", T.UNPAID),
    (K.REJECTED, 400, None, "Invalid value: 'insufficient credit'. Supported: …", T.REJECTED),
    (K.REJECTED, 402, None, "requires more credits, or fewer max_tokens", T.UNPAID),
    (K.REJECTED, 403, "content_policy_violation", "no", T.CONTENT_FILTER),
    (K.REJECTED, 403, None, "Content violates usage guidelines.", T.CONTENT_FILTER),
    (K.REJECTED, 403, None, "Your input was flagged", T.CONTENT_FILTER),
    (K.IN_STREAM_ERROR, 400, None, "bad tool", T.REJECTED),
    (K.IN_STREAM_ERROR, 429, None, "slow down", T.RATE_LIMITED),
    (K.IN_STREAM_ERROR, 500, None, "oops", T.BROKEN),
    (K.IN_STREAM_ERROR, None, "MALFORMED_FUNCTION_CALL", "oops", T.ERRED),
    (K.REJECTED, 400, "API_KEY_INVALID", "bad key", T.CREDENTIALS),
    (K.REJECTED, 400, None, "Output blocked by content filtering policy", T.CONTENT_FILTER),
    (K.REJECTED, 401, None, "bad key", T.CREDENTIALS),
    (K.REJECTED, 402, None, "pay", T.CREDENTIALS),
    (K.REJECTED, 403, None, "not yours", T.FORBIDDEN),
    (K.REJECTED, 403, None, "the provider answered with status 403", T.FORBIDDEN),
    (K.REJECTED, 403, None, "Blocked: 'what is my API key'", T.FORBIDDEN),
    (K.REJECTED, 403, None, "The token limit of this model is reached", T.FORBIDDEN),
    (
        K.REJECTED,
        403,
        None,
        "Your organization must be verified to use model `o3`.",
        T.FORBIDDEN,
    ),
    (K.REJECTED, 403, None, "Your API key may not use the specified resource.", T.FORBIDDEN),
    (K.REJECTED, 403, "model_not_found", "Project does not have access to it", T.FORBIDDEN),
    (K.REJECTED, 403, "BILLING_DISABLED", "This API method requires billing.", T.CREDENTIALS),
    (K.REJECTED, 403, None, "Your API key does not have permission to do it.", T.CREDENTIALS),
    (K.REJECTED, 403, None, "This organization has been disabled.", T.CREDENTIALS),
    (K.REJECTED, 403, None, "Invalid API-key provided", T.CREDENTIALS),
    (K.REJECTED, 403, None, "Insufficient credits", T.CREDENTIALS),
    (K.REJECTED, 403, "insufficient_quota", "no", T.CREDENTIALS),
    (K.REJECTED, 400, "context_length_exceeded", "too long", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "prompt is too long: 208310 tokens > 200000 maximum", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "The input token count (1200000) exceeds the …", T.CONTEXT_LENGTH),
    (K.REJECTED, 413, None, "exceeds the model's context window", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, "content_policy_violation", "no", T.CONTENT_FILTER),
    (K.REJECTED, 400, "ResponsibleAIPolicyViolation", "no", T.CONTENT_FILTER),
    (K.REJECTED, 400, None, "rejected by our content management policy", T.CONTENT_FILTER),
    (K.REJECTED, 400, None, "temperature must be at most 2", T.REJECTED),
    (K.REJECTED, 404, None, "The model's context window page does not exist", T.REJECTED),
    (K.REJECTED, 422, None, "wrong", T.REJECTED),
    (
        K.REJECTED,
        413,
        "rate_limit_exceeded",
        f"Request too large for model `m` {TPM}",
        T.CONTEXT_LENGTH,
    ),
    (
        K.REJECTED,
        429,
        "rate_limit_exceeded",
        f"Request too large for model `m` {TPM}",
        T.RATE_LIMITED,
    ),
    (K.REJECTED, 400, "1261", "Prompt 超长", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "litellm.ContextWindowExceededError: …", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "the length of messages exceeds limit", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "the max input characters is 20000", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "number of tokens in the conversation is too high", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "input_text length exceeds max_seq_len", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "Token limit exceeded: 9000/8192", T.CONTEXT_LENGTH),
    (K.REJECTED, 400, None, "Number of messages exceeds limit: at most 100 messages", T.REJECTED),
    (K.REJECTED, 400, None, "image exceeds 5 MB maximum: 6000 > 5000", T.REJECTED),
    (K.REJECTED, 400, "1301", "系统检测到输入可能包含敏感内容", T.CONTENT_FILTER),
    (K.REJECTED, 451, "censorship_blocked", "it is blocked", T.CONTENT_FILTER),
    (K.REJECTED, 400, "InputTextSensitiveContentDetected.Severe", "no", T.CONTENT_FILTER),
    (K.REJECTED, 422, None, "input new_sensitive (1026)", T.CONTENT_FILTER),
    (K.REJECTED, 400, "guardrail_blocked", "no", T.CONTENT_FILTER),
    (K.REJECTED, 400, None, "Violated guardrail policy", T.CONTENT_FILTER),
    (K.REJECTED, 400, None, "litellm.ContentPolicyViolationError: …", T.CONTENT_FILTER),
]


@pytest.mark.parametrize(("kind", "status", "code", "message", "trouble"), TABLE)
def test_failure_is_classified(
    kind: FailureKind, status: int | None, code: str | None, message: str, trouble: FailureClass
) -> None:
    assert failure_class_of(UpstreamFailure(kind, message, status=status, code=code)) is trouble


def test_retry_after_means_rate_limited() -> None:
    quota = "You exceeded your current quota, please check."
    failure = UpstreamFailure(K.REJECTED, quota, status=429, retry_after_s=20)
    assert failure_class_of(failure) is T.RATE_LIMITED


@pytest.mark.parametrize("kind", FailureKind)
def test_every_failure_kind_has_a_class(kind: FailureKind) -> None:
    assert failure_class_of(UpstreamFailure(kind, "")) in FailureClass
