"""Simulated provider served over HTTP: an upstream for tests that records what it observes.

- `server`: accepts connections; `connection` and `websocket` serve one each
- `simulation`: routes requests to wire formats
- `formats`: one wire format each
- `send_stream`, `send_whole`: send answers with their faults
- `http1`, `websocket_frames`: the protocols
- `observations`, `observations_file`: requests and disconnects, as evidence

Imports `actors.turn` and `actors.providers.simulated`. Anything without a socket that concerns an
answer belongs in `actors.providers.simulated`.
"""

from web.drill.witness.server import SimulateSettings, run_simulated, serve_simulated

__all__ = ["SimulateSettings", "run_simulated", "serve_simulated"]
