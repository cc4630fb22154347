"""Wording: finds what a text says, and removes no more of it than that.

- `phrases`: patterns of phrases, written one a line
- `remarks`: removal of a remark from a sentence that says something else too
- `requests`: requests of users that excuse what a guard would object to
- `tool_kinds`: kinds of work that tools do
- `overlap`: shares of the words of a text that another one has
- `semantics`: similarity to exemplars, which are in `exemplars.toml`
"""
