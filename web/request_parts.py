"""Parts of requests that several surfaces read."""

from quart import request

from web.errors import invalid


async def body_given() -> bytes:
    """The request's body, whatever its type is said to be; raises 408 and 413."""
    return await request.get_data(cache=False, as_text=False, parse_form_data=False)


def limit_given(default: int, most: int) -> int:
    """How many entries of a list are wanted; raises `ApiError` (400)."""
    text = request.args.get("limit")
    if text is None:
        return default
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= most:
        wrong = f"limit: must be a number from 1 to {most}."
        raise invalid(wrong, param="limit", code="invalid_value")
    return limit
