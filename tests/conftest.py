"""Settings for all tests: Hypothesis runs without deadlines."""

from hypothesis import settings

# The duration of an example depends on the load of the machine, so a deadline would be flaky.
settings.register_profile("trouper", deadline=None)
settings.load_profile("trouper")
