"""Attempts: one try of a step on one route, and the decision about the next one.

- `attempt`: sends the request, records usage, passes the opening events and the chunks on
- `client_tools`: restores the calls of tools for which functions stand in
- `deadlines`: first byte, first token, then idle
- `retry_policy`: the retry table, its limits, and the next action of a step
- `client_errors`: the client's errors for upstream failures and refusals

Imports `turn`, `ports`, `runtime`, `continuation` and `routing`. The loop that carries out the
decisions is in `actors.streamer`; classes of failures are in `turn.failure_class`; route health is
in `routing`.
"""
