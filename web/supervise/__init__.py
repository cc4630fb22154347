"""`trouper serve --supervise N`: a parent that owns the socket, and server processes on it.

`plan` decides what is to be done, without doing anything; `parent` does it; `child` is the other
end, in the server process.
"""
