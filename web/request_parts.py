"""Readers of request parts that several surfaces share."""

from quart import request

from web.errors import invalid


async def request_body() -> bytes:
    """Return the request's body, ignoring its content type. Raise 408 or 413."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def limit_parameter(default: int, most: int) -> int:
    """Return the `limit` query parameter, or `default` without one. Raise `ApiError` (400)."""
    text = request.args.get("limit")
    if text is None:
        return default
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= most:
        wrong = f"limit: must be a number from 1 to {most}."
        raise invalid(wrong, param="limit", code="invalid_value")
    return limit
