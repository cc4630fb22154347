"""Log lines leave through a thread that a bad sink cannot hurt."""

import threading

from web.log_writer import LogWriter


class Gate:
    """A sink that takes nothing until it is opened."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.lines: list[str] = []

    def write(self, text: str) -> None:
        self.reached.set()
        assert self.opened.wait(10)
        self.lines.append(text)

    def flush(self) -> None:
        pass


class FullDisk:
    """A sink that refuses the first line once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.taken = threading.Event()
        self._full = True

    def write(self, text: str) -> None:
        if self._full:
            self._full = False
            raise OSError(28, "No space left on device")
        self.lines.append(text)
        self.taken.set()

    def flush(self) -> None:
        pass


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
        assert disk.taken.wait(10)
    assert disk.lines == ["the only record\n"]
