"""A turn's failure as a Responses object tells it: a code of OpenAI's list, and ours in words."""

from actors.outcome import ErrorInfo

CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "data_residency_mismatch",
        "bio_policy",
        "misalignment_policy_violation",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
"""All codes that an error of a response may have, by OpenAI's API reference. Clients that check
what they read take no other."""

_THE_CLIENTS_MISTAKE = frozenset({400, 404, 409, 413, 415, 422})


def response_error(info: ErrorInfo) -> dict[str, object]:
    """The `error` of a response object. A code of ours that is no code there ends the message."""
    code = _code(info)
    told = info.code is None or info.code == code
    return {
        "code": code,
        "message": info.message if told else f"{info.message} ({info.code})",
        "param": info.param,
        "type": info.type,
    }


def _code(info: ErrorInfo) -> str:
    if info.code in CODES:
        return info.code
    if info.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if info.status in _THE_CLIENTS_MISTAKE else "server_error"
