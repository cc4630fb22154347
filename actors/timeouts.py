"""The five clocks of a turn, in seconds."""

from msgspec import Struct


class Timeouts(Struct, frozen=True, kw_only=True):
    """How long each phase of an attempt may last, and the whole turn (`total_s`).

    `first_token_s` counts from the response's head to its first content; `idle_s` between two
    parts of the answer after that (comments do not count), and only while we are receiving, so
    that a slow client is never taken for a slow provider.
    """

    connect_s: float = 5.0
    first_byte_s: float = 30.0
    first_token_s: float = 30.0
    idle_s: float = 30.0
    total_s: float = 600.0
