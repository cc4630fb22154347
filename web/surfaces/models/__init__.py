"""Model names that requests may use.

- `routes`: the endpoints under `/v1/models`

Imports `web.http` and `web.service`. Plans of models belong in `web.turns.planner`.
"""
