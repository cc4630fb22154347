"""Builds the `error` of a response object, whose codes are limited to OpenAI's list."""

from actors.turn.outcome import ErrorInfo

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
"""All error codes of a response in OpenAI's API reference; strict clients reject others."""

_INVALID_REQUEST = frozenset({400, 404, 409, 413, 415, 422})


def response_error(info: ErrorInfo) -> dict[str, object]:
    """Return the `error` of a response object.

    A code that is not in OpenAI's list is appended to the message.
    """
    code = _code(info)
    is_listed = info.code is None or info.code == code
    return {
        "code": code,
        "message": info.message if is_listed else f"{info.message} ({info.code})",
        "param": info.param,
        "type": info.type,
    }


def _code(info: ErrorInfo) -> str:
    if info.code in CODES:
        return info.code
    if info.status == 429:
        return "rate_limit_exceeded"
    return "invalid_prompt" if info.status in _INVALID_REQUEST else "server_error"
