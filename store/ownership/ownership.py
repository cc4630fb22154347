"""Ownership interface: which process owns a turn, and whether that process is alive."""

from typing import Protocol


class Ownership(Protocol):
    """The owner ids of the processes that use the database. Its methods block: call in a thread.

    A turn belongs to the owner whose id is in its row. Others may end it once that owner is dead.
    """

    @property
    def id(self) -> str:
        """This process's owner id, which the turns that it begins must carry."""

    def is_alive(self, owner: str) -> bool:
        """Return whether the owner's process is alive; this process is."""
