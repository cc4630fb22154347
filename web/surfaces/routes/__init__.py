"""States of the routes to providers.

- `routes`: endpoints that show them, and that open or reset one by hand

Imports `actors.turn`, `actors.routing`, `web.http`, `web.providers`, `web.service` and
`web.surfaces.validation`. The states themselves are in `actors.routing`.
"""
