"""Guards: checks that change or block an answer, one package each. None is built in yet.

A guard has a `GuardSpec` (`actors.guard`) with a line in `web.registry`. Imports `actors.guard`,
`accumulator` and the vocabulary in `turn`; the actor that runs the chain is `actors.guard`.
"""
