"""Toy extensions, as CONTRIBUTING.md shows them: a surface, a guard and a provider format."""
