"""Metrics and logs.

- `metrics`: Prometheus metrics, and the log lines of turns
- `access_log`: log lines of requests
- `logs`: configures logging; `log_writer` writes lines from a thread

Imports `actors.turn`, `actors.routing`, `store` and the counters of `web.server`. What is worth
reporting is declared in `actors.turn.lifecycle_events`.
"""
