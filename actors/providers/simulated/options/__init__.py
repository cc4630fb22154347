"""Settings of simulated models: from a model name or a scenario file to a `Behaviour`.

- `behaviour`: speed, length, kind of answer and fault
- `grammar`: table of the settings, and the parser of model names
- `scenario`: TOML files that map model names to behaviour

Imports nothing of the project. The effects of a setting are in `answer` and `script`.
"""
