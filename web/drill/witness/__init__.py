"""Simulated provider served over HTTP: an upstream for tests that records what it observes.

- `server`: accepts connections; `connection` serves one, and sends answers with their faults
- `simulation`: routes requests to wire formats
- `formats`: one wire format each
- `http1`, `websocket`: the transports
- `observations`: requests and disconnects, as evidence

Imports `actors.turn`, `actors.runtime`, `actors.providers.simulated`, and in `formats` surfaces and
dialects; never the decoders of `actors.providers.formats`, which are tested against it. Anything
without a socket that concerns an answer belongs in `actors.providers.simulated`.
"""

from web.drill.witness.server import SimulateSettings, run_simulated, serve_simulated

__all__ = ["SimulateSettings", "run_simulated", "serve_simulated"]
