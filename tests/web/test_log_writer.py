"""Log lines leave through a thread that a bad sink cannot hurt."""

import threading

from web.log_writer import LogWriter


class Gate:
    """A sink that takes nothing until it is opened."""

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
    """A sink that has space for a few bytes, then for none, then for all."""

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


def test_lines_come_out_in_order_and_all_of_them_before_it_ends() -> None:
    gate = Gate()
    gate.opened.set()
    with LogWriter(gate) as writer:
        for number in range(100):
            writer.write(f"{number}\n")
    assert "".join(gate.lines) == "".join(f"{number}\n" for number in range(100))


def test_a_stalled_sink_costs_lines_and_says_how_many() -> None:
    gate = Gate()
    with LogWriter(gate, capacity=4) as writer:
        writer.write("a\n")
        assert gate.reached.wait(10)
        writer.write("b\n")
        writer.write("lost\n")
        writer.write("lost\n")
        writer._capacity = 1000
        writer.write("c\n")
        gate.opened.set()
    assert "".join(gate.lines) == "a\nb\n2 log lines were dropped\nc\n"


def test_a_line_that_was_refused_is_written_later() -> None:
    disk = FullDisk()
    with LogWriter(disk, retry_s=0.001) as writer:
        writer.write("the only record\n")
        assert disk.whole.wait(10)
    assert disk.taken == b"the only record\n"
