"""Turns for all surfaces: planning, starting, resuming and showing them.

- `media_needs`: the routes that can take the media of a request
- `planner`: requests to models, and maps model names to routes, timeouts, prices and modes
- `input_check`: scores what comes in, and removes or refuses injected instructions
- `start`: begins a turn, holds a lease on it, and responds with its answer
- `resume`, `resume_position`: send a turn's events again from the client's last frame
- `stored_events`: decodes stored journals
- `turn_json`: JSON of turns
- `conversation_lock`: only one live turn per conversation

Imports `actors`, `store.records`, `web.config`, `web.dialects`, `web.http`, `web.observability` and
`web.service`; no surface. Running a turn belongs in `actors.run_turn`.
"""
