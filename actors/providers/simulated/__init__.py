"""A model that needs no network: the same words every time, and every fault on demand.

`grammar` has the settings that a model's name can carry.
"""

from actors.providers.simulated.grammar import BadModelName, model_name, parse_model_name
from actors.providers.simulated.provider import SimulatedProvider
from actors.providers.simulated.scenario import Scenario, load_scenario
from actors.providers.simulated.script import Past, script
from actors.providers.simulated.steps import Script, Step

__all__ = [
    "BadModelName",
    "Past",
    "Scenario",
    "Script",
    "SimulatedProvider",
    "Step",
    "load_scenario",
    "model_name",
    "parse_model_name",
    "script",
]
