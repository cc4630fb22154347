"""Drill: programs that test a server from the outside.

- `witness`: `trouper simulate`, a simulated provider over HTTP that records what it observes

The behaviour of simulated models belongs in `actors.providers.simulated`.
"""
