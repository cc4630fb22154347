"""Timeouts of a turn and its attempts, in seconds."""

from msgspec import Struct


class Timeouts(Struct, frozen=True, kw_only=True):
    """Limits in seconds for each phase of an attempt and for the whole turn (`total_s`).

    `first_token_s` runs from the response head to the first content. `idle_s` runs between two
    parts of the answer after that (comments don't count), and only while we are receiving, so
    a slow client is never mistaken for a slow provider.
    """

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    first_token_s: float = 30.0
    idle_s: float = 30.0
    total_s: float = 600.0
