"""Settings of simulated models: from a model name or a scenario file to a `Behaviour`.

- `behaviour`: speed, length, kind of answer and fault
- `grammar`: parses and formats model names
- `scenario`: TOML files that map model names to behaviour
- `values`: parses and formats single values

Imports nothing of the project. The effects of a setting are in `script` and `timeline`.
"""
