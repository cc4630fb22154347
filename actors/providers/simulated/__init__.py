"""Simulated models: deterministic answers and faults on demand, without a network.

- `provider`: runs scripts in process, on trio's clock
- `script`: turns a call into timed steps, with the faults
- `steps`: a script's steps, and the playhead that tracks which are due
- `answer`, `prose`, `schema_examples`, `messages`: the pieces of an answer
- `rejections`: HTTP errors
- `embeddings`: vectors from a hash of the input
- `options`: settings that a model name carries

Imports `turn`, `ports` and `formats.embeddings`. `web.drill.witness` serves the same steps over
HTTP; anything with a socket belongs there.
"""

from actors.providers.simulated.options.grammar import Scenario, load_scenario
from actors.providers.simulated.provider import SimulatedProvider
from actors.providers.simulated.script import PriorCalls, script
from actors.providers.simulated.steps import Script, Step

__all__ = [
    "PriorCalls",
    "Scenario",
    "Script",
    "SimulatedProvider",
    "Step",
    "load_scenario",
    "script",
]
