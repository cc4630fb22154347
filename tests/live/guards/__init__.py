"""Guards on real servers and files."""
