"""The server process: HTTP for clients and operators, configuration and start-up.

- `cli`, `guards_cli`: command line; `main`: the server process; `app`: the Quart application
- `service`: holds everything that lives as long as the server
- `registry`: one line for each surface, provider format and guard
- `version`: version of the distribution

Subpackages:

- `surfaces`: families of endpoints, one folder each: routes and validation of requests
- `dialects`: client protocols: frames and whole objects from a turn's events
- `turns`: starts, resumes and shows turns for all surfaces
- `auth`: refuses requests that web pages must not send
- `http`: Quart glue: connections, bodies, JSON and errors
- `server`: the HTTP server, built on hypercorn's protocols
- `config`: settings and their sources
- `providers`: builds the configured providers
- `observability`: metrics and logs
- `process`: listeners, certificates, shutdown of one process
- `supervisor`: a parent process that replaces servers without downtime
- `drill`: simulated providers over HTTP, for tests

Imports `actors` and `store`, never the reverse. Rules of turns belong in `actors`, SQL in `store`.
"""
