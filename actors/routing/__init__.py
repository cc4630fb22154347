"""Which routes may be asked now: pure but for the waiting at a gate, and used through `board`."""
