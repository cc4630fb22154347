"""Benchmarks that users can run themselves: `python -m bench.run`, or `make bench`.

Not packaged. `docs/how-to/benchmark.md` explains how to run them and how to read the table.
"""
