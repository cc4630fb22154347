"""What `trouper simulate` can be told."""

from pathlib import Path

from msgspec import Struct

from actors.providers.simulated import Scenario


class SimulateSettings(Struct, frozen=True, kw_only=True):
    """Where to listen, what to play and where the witness writes."""

    host: str = "127.0.0.1"
    port: int = 0
    """0 picks a free one, which is announced."""
    scenario: Scenario = Scenario()
    witness: Path | None = None
    """File to which each happening is appended as a JSON line."""
    witness_tokens: bool = False
    """Whether each batch of tokens is a happening too."""
