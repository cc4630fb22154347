"""The simulated provider served over HTTP, as the upstream and the witness of tests."""

from web.simulate.server import run_simulated, serve_simulated
from web.simulate.settings import SimulateSettings

__all__ = ["SimulateSettings", "run_simulated", "serve_simulated"]
