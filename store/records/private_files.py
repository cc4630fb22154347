"""Creates files that only this user may read, because they hold prompts and answers."""

import os


def private(path: str | os.PathLike[str], flags: int) -> int:
    """Open a file for `open(opener=…)`; a new one has mode 0600, whatever the umask is.

    An existing file keeps its mode, which is the operator's choice.
    """
    return os.open(path, flags, 0o600)
