"""A dialect at work on one turn, as those see it who show turns again."""

from collections.abc import Callable
from typing import Protocol

from actors.writer import Dialect
from web.dialects.frames import Cursor, Numbering


class Rendering(Dialect, Protocol):
    """One rendering of one turn in a dialect."""

    @property
    def numbering(self) -> Numbering:
        """The numbers of its frames."""

    @property
    def taken_back(self) -> bool:
        """Whether something that was shown was taken back, so that it ends in an error."""


Render = Callable[[Cursor], Rendering]
"""Begins a rendering of a turn, from after the cursor on."""
