"""Defines the stream interface that resume needs from a dialect."""

from collections.abc import Callable
from typing import Protocol

from actors.writer import Dialect
from web.dialects.frames import Cursor, Numbering


class DialectStream(Dialect, Protocol):
    """The stream of one turn in one dialect."""

    @property
    def numbering(self) -> Numbering:
        """The numbering of its frames."""

    @property
    def discarded(self) -> bool:
        """True if streamed content was discarded later, so that the stream ends in an error."""


Render = Callable[[Cursor], DialectStream]
"""Starts the stream of a turn after the cursor."""
