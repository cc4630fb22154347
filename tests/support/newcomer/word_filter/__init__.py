"""Word filter: a guard that replaces a word in the text of answers."""

from actors.accumulator import Draft
from actors.guard import GuardSpec
from actors.turn.events import Text


class WordFilter:
    """A screen that replaces `word` by `other`, also if it is split over pieces of text."""

    def __init__(self, word: str, other: str) -> None:
        self._word = word
        self._other = other
        self._held = ""
        """End of the text so far, which may be the beginning of the word."""

    def step(self, drafts: list[Draft]) -> list[Draft]:
        """Return the drafts that may pass now."""
        passed: list[Draft] = []
        for draft in drafts:
            passed += (
                self._filtered(draft.delta) if isinstance(draft, Text) else [*self.end(), draft]
            )
        return passed

    def end(self) -> list[Draft]:
        """Return the held text."""
        held, self._held = self._held, ""
        return [Text(held)] if held else []

    def _filtered(self, delta: str) -> list[Draft]:
        *whole, rest = (self._held + delta).split(self._word)
        held = range(min(len(rest), len(self._word) - 1), 0, -1)
        size = next((n for n in held if self._word.startswith(rest[-n:])), 0)
        self._held = rest[len(rest) - size :]
        text = self._other.join([*whole, rest[: len(rest) - size]])
        return [Text(text)] if text else []


GUARD = GuardSpec(lambda: WordFilter("secret", "******"))
