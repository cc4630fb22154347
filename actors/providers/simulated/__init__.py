"""Simulated models: deterministic answers and faults on demand, without a network.

`options` holds the settings that a model name can carry and parses them into a `Behaviour`.
`script` turns a call into timed steps. `provider` runs them in process; `web.drill.witness` serves
the same steps over HTTP.
"""

from actors.providers.simulated.options.grammar import BadModelName, model_name, parse_model_name
from actors.providers.simulated.options.scenario import Scenario, load_scenario
from actors.providers.simulated.playhead import Script, Step
from actors.providers.simulated.provider import SimulatedProvider
from actors.providers.simulated.script import PriorCalls, script

__all__ = [
    "BadModelName",
    "PriorCalls",
    "Scenario",
    "Script",
    "SimulatedProvider",
    "Step",
    "load_scenario",
    "model_name",
    "parse_model_name",
    "script",
]
