"""Actors that run a turn, and the subpackages that hold their rules.

Five actors process a turn; each is a step without I/O and a small loop around it:

- `streamer`: tries routes until one completes the answer; passes on the provider's chunks
- `accumulator`: turns chunks into draft events; enforces the size limits
- `guard`: checks drafts before they are published
- `persister`: appends events to the journal and to the answer
- `writer`: renders events as bytes for one client; runs in the request's scope

`run_turn` starts the first four in the turn's nursery and finalises the turn. `turn_registry`
holds the live turns of the process. `ports` declares what a turn needs from the outside.

Subpackages:

- `turn`: the vocabulary of a turn: request, events, outcomes, model call, live state, steps
- `journal`: numbered events with their subscriptions; checkpoints, heartbeats, slow readers
- `answer`: the answer as output items, built from events
- `attempts`: one try of a route, its deadlines, and the choice of the next one
- `continuation`: joins a second answer to an interrupted one
- `routing`: which routes may be called now
- `usage`: estimates of token usage
- `guards`: one folder for each guard
- `finalisation`: the outcome and the final record; recovery of dead owners' turns
- `providers`: HTTP transport, wire formats and simulated models
- `runtime`: channels, wait queues, threads, event bus; knows nothing of turns

`web` and `store` are not imported, except that `turn.store_records` re-exports the store's records.
HTTP for clients belongs in `web`, SQL in `store`.
"""
