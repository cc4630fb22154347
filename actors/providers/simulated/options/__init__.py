"""Settings of simulated models: from a model name or a scenario file to a `Behaviour`.

- `behaviour`: speed, length, kind of answer and fault
- `grammar`: table of the settings, and the parsers of model names and scenario files

Imports nothing of the project. The effects of a setting are in `answer` and `script`.
"""
