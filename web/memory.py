"""Keeps the garbage collector from stopping every stream to look at what never changes."""

import gc

YOUNG = 5_000
"""Container objects made since the last look. Python's 700 means several looks a request."""


def settle_memory() -> None:
    """Call once, when everything long-lived exists: it is never looked at again.

    Without this a full collection walks every imported module, for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)
