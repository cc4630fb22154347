"""Route selection: which routes of a model may be called now.

- `route_board`: entry point for all turns; holds the state of every route and provider
- `breaker`: circuit breaker of one route
- `outcome_window`: calls of a route that succeeded and failed lately
- `provider_limits`: limits and state that all routes of a provider share
- `rate_window`: requests and tokens of the last minute
- `concurrency_gate`: concurrency limit, the only part that waits
- `key_ring`: API keys of one provider
- `requirements`: capabilities that a call requires of a route

Imports `turn` only. Everything but `concurrency_gate` is free of I/O and gets the time passed in.
Retries after a failed attempt belong in `attempts`.
"""
