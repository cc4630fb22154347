"""The witness file holds every event, even when the server stops."""

from pathlib import Path

import msgspec
import pytest
import trio
import trio.testing

from web.drill.witness import SimulateSettings, serve_simulated
from web.drill.witness.observations import WitnessEvent, keep_witness_file, witness_channel


def witness_event(number: int) -> WitnessEvent:
    return WitnessEvent(t=0.5, request=number, event="end", tokens=number)


def lines(path: Path) -> list[WitnessEvent]:
    return [msgspec.json.decode(line, type=WitnessEvent) for line in path.read_bytes().splitlines()]


async def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    for round in range(2):
        sender, receiver = witness_channel()
        async with trio.open_nursery() as nursery:
            await nursery.start(keep_witness_file, path, receiver)
            with sender:
                for number in range(500):
                    sender.send_nowait(witness_event(500 * round + number))
    assert lines(path) == [witness_event(number) for number in range(1000)]


async def test_no_line_is_lost_when_the_server_stops(tmp_path: Path) -> None:
    path = tmp_path / "witness.jsonl"
    sender, receiver = witness_channel()
    async with trio.open_nursery() as nursery:
        await nursery.start(keep_witness_file, path, receiver)
        sender.send_nowait(witness_event(0))
        nursery.cancel_scope.cancel()
        with trio.move_on_after(5, shield=True):
            await trio.testing.wait_all_tasks_blocked()
        sender.send_nowait(witness_event(1))
        sender.close()
    assert lines(path) == [witness_event(0), witness_event(1)]


async def test_unwritable_file_ends_the_server(tmp_path: Path) -> None:
    settings = SimulateSettings(witness=tmp_path / "missing" / "witness.jsonl")
    with pytest.RaisesGroup(FileNotFoundError):
        await serve_simulated(settings)
