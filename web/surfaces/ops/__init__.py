"""Endpoints for operators.

- `routes`: `/health`, `/ready` and `/metrics`

Imports `web.http` and `web.service`. The metrics are defined in `web.observability`.
"""
