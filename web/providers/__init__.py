"""Providers of the configuration.

- `factory`: builds providers, key rings, embedders and the route board

Imports `actors.providers`, `actors.routing`, `actors.ports`, `actors.turn`, `web.config` and
`web.process.startup`. Behaviour of providers belongs in `actors.providers`.
"""
