"""The server as a process: sockets, certificates, signals and restarts of tasks.

- `startup`: the error that keeps a server from starting
- `listeners`: opens the listening sockets; `systemd`: passes some, and is notified
- `certificate_reload`: the TLS context
- `shutdown`: stops the server
- `task_restart`: restarts service tasks that crash

Imports `web.config`, `web.server` and `web.observability`; `shutdown` also `actors.turn_registry`
and `actors.turn`. Requests belong in `web.http`, several processes in `web.supervisor`.
"""
