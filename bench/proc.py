"""CPU time and memory of a process and its children, from Linux's /proc."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def available() -> bool:
    """Return whether this system has /proc."""
    return Path("/proc/self/stat").exists()


def cpu_s(pid: int) -> float:
    """Return user and system CPU seconds of all threads of `pid` and its living descendants."""
    return sum(_cpu_of(one) for one in tree(pid))


def rss_kib(pid: int) -> int:
    """Return resident memory in KiB of `pid` and its living descendants."""
    return sum(_rss_of(one) for one in tree(pid))


def tree(pid: int) -> list[int]:
    """Return `pid` and the ids of its living descendants."""
    found = [pid]
    for parent in found:
        for children in Path(f"/proc/{parent}/task").glob("*/children"):
            found.extend(int(child) for child in _read(children).split())
    return found


def _cpu_of(pid: int) -> float:
    # Fields 14 and 15 of proc(5), counted from the end of field 2, which may contain spaces.
    fields = _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S if fields else 0.0


def _rss_of(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
