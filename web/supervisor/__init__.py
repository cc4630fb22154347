"""Supervisor of `trouper serve --supervise N`: a parent owns the sockets, N processes serve them.

- `plan`: decides what to do, as a pure state machine; defines the orders to the processes
- `parent`: carries the plan out
- `child`: the server process's end

Imports `web.config`, `web.process` and `web.server`. The shutdown of one server belongs in
`web.process.shutdown`.
"""
