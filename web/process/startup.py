"""The error that keeps a server from starting."""


class StartupRefused(Exception):
    """A reason not to serve; the message is one line: what is wrong, and what to do.

    The command line prints it as `trouper: …` and exits with 1.
    """
