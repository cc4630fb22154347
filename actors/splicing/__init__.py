"""Where a second answer goes on behind a cut one: pure, and used through `splice`."""
