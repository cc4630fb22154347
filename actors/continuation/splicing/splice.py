"""Splicer: appends a second answer to the shown text of an interrupted first one, without I/O.

`actors.continuation.splicing.seams` has the rules; `docs/explanation/continuing.md` has them as a
table.
"""

from actors.continuation.splicing.seams import Seam, SeamSearch
from actors.continuation.splicing.whitespace import DoesNotFit, SeamFilter

__all__ = ["DoesNotFit", "Seam", "Splicer"]


class Splicer:
    """An incremental filter that returns the part of a second answer that continues `shown`.

    With `prefill` the model continued the message itself. Otherwise it was instructed to continue,
    beginning with the last words; then nothing is shown until the seam is decided, and at most
    1024 characters more than the length of `shown` are held. Construction reads the last 8 KiB of
    `shown` and scans it once, which takes well under a millisecond per 100 KiB.
    """

    __slots__ = ("_kept", "_misfit", "_seam_filter", "_search", "_through", "_white", "seam")

    def __init__(self, shown: str, *, prefill: bool) -> None:
        bare = shown.rstrip()
        self._white = shown[len(bare) :]
        self._search = None if prefill else SeamSearch(shown, bare)
        self._seam_filter = SeamFilter("", self._white)
        self._through = prefill and self._seam_filter.done
        self._kept = 0
        """Characters received and not shown, less those inserted."""
        self._misfit: str | None = None
        self.seam: Seam | None = Seam.PREFILL if prefill else None
        """Kind of seam, or None until it is decided."""

    @property
    def dropped(self) -> int:
        """Number of characters of the second answer that were dropped at the seam."""
        return max(0, self._kept) if self._through else 0

    def feed(self, text: str) -> str:
        """Add text of the second answer and return the text to show now.

        Raises `DoesNotFit`, and then on every further call.
        """
        if self._through:
            return text
        return self._take(text, ended=False)

    def end(self) -> str:
        """End a complete second answer and return the remaining text; raises `DoesNotFit`."""
        return "" if self._through else self._take("", ended=True)

    def _take(self, text: str, *, ended: bool) -> str:
        if self._misfit is not None:
            raise DoesNotFit(self._misfit)
        self._kept += len(text)
        if self._search is not None:
            over = self._search.feed(text)
            if not (ended or over or self._search.settled):
                return ""
            text = self._accepted(self._search, ended) + over
        text = self._seam_filter.feed(text)
        if ended:
            text += self._seam_filter.end()
        self._through = self._seam_filter.done
        self._kept -= len(text)
        return text

    def _accepted(self, search: SeamSearch, ended: bool) -> str:
        """Return the held text that follows the seam."""
        try:
            found = search.judge(ended=ended)
        except DoesNotFit as misfit:
            self._misfit = str(misfit)
            raise
        finally:
            self._search = None
        self.seam = found.seam
        closed = found.at > 0 and self._white != ""
        self._seam_filter = SeamFilter(found.marks, self._white, closed=closed)
        self._kept += len(found.gap)
        return found.gap + found.left + search.second[found.at :]
