"""The log writer: a thread writes the lines, so that a slow or full sink blocks nothing."""

import threading

from web.observability.log_writer import LogWriter


class Gate:
    """A sink that blocks until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.lines: list[str] = []

    def write(self, data: bytes) -> int:
        self.reached.set()
        assert self.opened.wait(10)
        self.lines.append(data.decode())
        return len(data)


class FullDisk:
    """A sink that takes five bytes, then fails with ENOSPC once, then takes everything."""

    def __init__(self) -> None:
        self.taken = b""
        self.whole = threading.Event()
        self._writes = 0

    def write(self, data: bytes) -> int:
        self._writes += 1
        if self._writes == 2:
            raise OSError(28, "No space left on device")
        some = data[:5] if self._writes == 1 else data
        self.taken += some
        if self.taken.endswith(b"\n"):
            self.whole.set()
        return len(some)


def test_lines_are_written_in_order_and_completely_before_it_closes() -> None:
    gate = Gate()
    gate.opened.set()
    with LogWriter(gate.write) as writer:
        for number in range(100):
            writer.write(f"{number}\n")
    assert "".join(gate.lines) == "".join(f"{number}\n" for number in range(100))


def test_stalled_sink_drops_lines_and_reports_their_number() -> None:
    gate = Gate()
    with LogWriter(gate.write, capacity=4) as writer:
        writer.write("a\n")
        assert gate.reached.wait(10)
        writer.write("b\n")
        writer.write("lost\n")
        writer.write("lost\n")
        writer._capacity = 1000
        writer.write("c\n")
        gate.opened.set()
    assert "".join(gate.lines) == "a\nb\n2 log lines were dropped\nc\n"


def test_refused_line_is_written_later() -> None:
    disk = FullDisk()
    with LogWriter(disk.write, retry_s=0.001) as writer:
        writer.write("the only record\n")
        assert disk.whole.wait(10)
    assert disk.taken == b"the only record\n"
