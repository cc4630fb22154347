"""Settings of `trouper simulate`."""

from pathlib import Path

from msgspec import Struct

from actors.providers.simulated import Scenario


class SimulateSettings(Struct, frozen=True, kw_only=True):
    """Address, scenario and witness file of the simulated provider."""

    host: str = "127.0.0.1"
    port: int = 0
    """TCP port; 0 picks a free port, which is announced."""
    scenario: Scenario = Scenario()
    witness: Path | None = None
    """File to which each witness event is appended as a JSON line."""
    witness_tokens: bool = False
    """True to write an event for each batch of tokens too."""
