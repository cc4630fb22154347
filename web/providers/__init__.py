"""Providers of the configuration.

- `factory`: builds providers, key rings, embedders and the route board
- `embedded_scores`: semantic scores of guards by an embeddings route

Imports `actors.guards`, `actors.providers`, `actors.routing`, `actors.ports`, `actors.turn`,
`web.config` and `web.process.startup`. Behaviour of providers belongs in `actors.providers`.
"""
