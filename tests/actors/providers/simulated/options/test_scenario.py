"""Tests of scenario files, which are equivalent to model names."""

import re

import pytest

from actors.providers.simulated import load_scenario
from actors.providers.simulated.options.grammar import BadModelName, parse_model_name

FILE = """
[defaults]
delay = "5ms"

[models.primary]
tokens = 60
cut = 40

[models."gpt-4o:latest"]
"429" = 2
tool = true
nousage = false
"""


def test_a_file_gives_models_their_behaviour() -> None:
    scenario = load_scenario(FILE.replace('."gpt-4o:latest"', ".gpt"))
    assert scenario.behaviour("primary") == parse_model_name("primary:delay=5ms,tokens=60,cut=40")
    assert scenario.behaviour("gpt") == parse_model_name("gpt:delay=5ms,429=2,tool")
    assert scenario.behaviour("sim:tokens=3") == parse_model_name("sim:delay=5ms,tokens=3")
    assert scenario.behaviour("sim:delay=1ms") == parse_model_name("sim:delay=1ms")


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("models = [", "not valid TOML"),
        ("[model.x]", "unknown table 'model'"),
        ("[models]\nx = 3", "models.x must be a table"),
        ("[models.x]\ncut = [1]", "'x': 'cut': '[1]' is not an integer"),
        ("[models.x]\nslow = 1", "'x': unknown setting 'slow'"),
        ("[defaults]\ndelay = 3", "'3' is not a duration"),
        (FILE, "without a colon, not 'gpt-4o:latest'"),
    ],
)
def test_invalid_file_error_names_the_place(toml: str, complaint: str) -> None:
    with pytest.raises(BadModelName, match=re.escape(complaint)):
        load_scenario(toml)
