"""Drill: programs that test a server from the outside.

- `witness`: a simulated provider over HTTP that records what it observes

The behaviour of simulated models belongs in `actors.providers.simulated`.
"""
