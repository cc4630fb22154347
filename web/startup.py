"""What keeps a server from starting, in one line that an operator can act on."""


class StartupRefused(Exception):
    """The process must not serve; the message is one line: what is wrong, and what to do.

    The command line prints it as `trouper: …` and exits with 1.
    """
