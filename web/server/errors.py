"""An unexpected error in one line."""

import traceback


def in_one_line(error: BaseException) -> str:
    """What was raised and where, for each error of a group."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(in_one_line(inner) for inner in error.exceptions)
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{error!r}{where}"
