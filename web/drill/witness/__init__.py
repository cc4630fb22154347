"""Simulated provider served over HTTP: an upstream for tests that records what it observes.

`server` accepts connections, `connection` and `websocket` serve one each, `simulation` routes
requests. `wire` is the interface of the wire formats (`openai_chat`, `openai_responses`,
`anthropic`, `gemini`, `ollama`, `embeddings`). `stream`, `whole` and `opening` send answers with
their faults. `witness` records what was sent and when each peer disconnected.
"""

from web.drill.witness.server import SimulateSettings, run_simulated, serve_simulated

__all__ = ["SimulateSettings", "run_simulated", "serve_simulated"]
