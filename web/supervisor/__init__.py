"""Supervisor of `trouper serve --supervise N`: a parent owns the sockets, N processes serve them.

`plan` decides what to do, as a pure state machine; `parent` carries it out; `child` is the server
process's end; `orders` are the messages between the two.
"""
