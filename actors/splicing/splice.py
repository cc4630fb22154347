"""Puts a second answer behind what was shown of a first one that was cut.

Pure. What is decided, and why, stands in `actors.splicing.seams` and as a table in
`docs/explanation/continuing.md`.
"""

from actors.splicing.seam_space import Joint
from actors.splicing.seams import DoesNotFit, Found, Offer, Seam

__all__ = ["DoesNotFit", "Seam", "Splicer"]


class Splicer:
    """Takes a second answer as it comes, and gives what of it goes on behind `shown`.

    With `prefill` the model has continued the very message. Otherwise it was told to, beginning
    with its last words; then nothing is shown until the seam is decided, and what is held until
    then is at most as long as `shown` and 1024 characters. Building one reads the last 8 KiB of
    `shown`, and once all of it: well under a millisecond for each 100 KiB.
    """

    __slots__ = ("_joint", "_kept", "_misfit", "_offer", "_through", "_white", "seam")

    def __init__(self, shown: str, *, prefill: bool) -> None:
        bare = shown.rstrip()
        self._white = shown[len(bare) :]
        self._offer = None if prefill else Offer(shown, bare)
        self._joint = Joint("", self._white)
        self._through = prefill and self._joint.done
        self._kept = 0
        """Characters that came and were not shown, less those that were put in."""
        self._misfit: str | None = None
        self.seam: Seam | None = Seam.PREFILL if prefill else None
        """None until it is decided."""

    @property
    def dropped(self) -> int:
        """Characters of the second answer that were left out at the seam."""
        return max(0, self._kept) if self._through else 0

    def feed(self, text: str) -> str:
        """More of the second answer; what may be shown now. Raises `DoesNotFit`, then always."""
        if self._through:
            return text
        return self._take(text, ended=False)

    def end(self) -> str:
        """The second answer is over, in good order: the rest. Raises `DoesNotFit`."""
        return "" if self._through else self._take("", ended=True)

    def _take(self, text: str, *, ended: bool) -> str:
        if self._misfit is not None:
            raise DoesNotFit(self._misfit)
        self._kept += len(text)
        if self._offer is not None:
            over = self._offer.feed(text)
            if not (ended or over or self._offer.settled):
                return ""
            text = self._accepted(self._offer, ended) + over
        text = self._joint.feed(text)
        if ended:
            text += self._joint.end()
        self._through = self._joint.done
        self._kept -= len(text)
        return text

    def _accepted(self, offer: Offer, ended: bool) -> str:
        """What of the offer goes behind the seam."""
        try:
            found = offer.judge(ended=ended)
        except DoesNotFit as misfit:
            self._misfit = str(misfit)
            raise
        finally:
            self._offer = None
        return self._cut(offer.second, found)

    def _cut(self, second: str, found: Found) -> str:
        self.seam = found.seam
        repeats = found.at > 0
        self._joint = Joint(found.marks, self._white, closed=repeats and self._white != "")
        self._kept += len(found.gap)
        return found.gap + found.left + second[found.at :]
