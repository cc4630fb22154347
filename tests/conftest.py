"""What holds for all tests."""

from hypothesis import settings

# How long an example takes is a matter of what else the machine does.
settings.register_profile("trouper", deadline=None)
settings.load_profile("trouper")
