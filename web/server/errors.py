"""Formats unexpected errors in one line."""

import traceback


def in_one_line(error: BaseException) -> str:
    """Return the error and its location; for a group, those of each error."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(in_one_line(inner) for inner in error.exceptions)
    frames = traceback.extract_tb(error.__traceback__)
    location = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{error!r}{location}"
