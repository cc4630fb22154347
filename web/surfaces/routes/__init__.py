"""States of the routes to providers.

- `routes`: endpoints that show them, and that open or reset one by hand

Imports `actors.turn`, `actors.routing`, `web.http`, `web.providers` and `web.service`. The states
themselves are in `actors.routing`.
"""
