"""Route selection: which routes of a model may be called now.

- `board`: entry point for all turns; holds the state of every route and provider
- `breaker`: circuit breaker of one route
- `allowance`: limits and state that all routes of a provider share
- `capacity`: requests and tokens of the last minute
- `gate`: concurrency limit, the only part that waits
- `keys`: API keys of one provider
- `needs`: capabilities that a call requires of a route

Everything but `gate` is free of I/O and gets the time passed in.
"""
