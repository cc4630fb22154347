"""Continuation: makes a second attempt finish an answer that was interrupted.

- `interruption`: decides if an interrupted answer is continued, restarted or failed
- `request`: builds the call that asks for the rest
- `filter`: passes only the part of the second answer that continues the first
- `splicing`: finds the seam between the two texts

Imports `turn`, `ports` and `usage`. No module does I/O. The choice of the next route belongs in
`attempts.retry_policy`.
"""
