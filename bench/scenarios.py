"""The four kinds of load: `closed`, `steady`, `hold` and `aborts`."""

import asyncio
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager

import msgspec

from bench import proc
from bench.client import Call, Connection, connect
from bench.plan import Plan, Result, Sample
from bench.spec import SEEDS
from bench.upstream import Record

_SHOWN = 3
_SAMPLED = 40
LEFT = "left"
"""Problem of a call whose client disconnected as planned."""
_SETTLE_S = 0.2
"""Time after the last byte whose CPU cost still counts as part of the requests."""


async def closed(plan: Plan) -> Result:
    """Send `total` requests with `at_once` in flight; each that ends is replaced by the next."""
    calls = _calls(plan, plan.total)
    waiting = iter(calls)
    result = Result()
    with _measured(plan, result, lambda: sum(call.answer.chunks for call in calls)):
        workers = (_run_consecutively(plan, waiting) for _ in range(plan.at_once))
        await _bounded(plan, calls, workers)
        await asyncio.sleep(_SETTLE_S if plan.pid else 0)
    result.wall_s -= _SETTLE_S if plan.pid else 0
    return _finish(result, calls)


async def steady(plan: Plan) -> Result:
    """Run `total` paced streams and measure for `window_s` while all of them run."""
    calls = _calls(plan, plan.total)
    result = Result()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(
            _bounded(plan, calls, (_run_single(plan, call) for call in calls))
        )
        await asyncio.gather(*(call.first_token.wait() for call in calls))
        with _measured(plan, result, lambda: sum(call.answer.chunks for call in calls)):
            await asyncio.sleep(plan.window_s)
        early = sum(call.ended.is_set() for call in calls)
        await running
    _finish(result, calls)
    return _add_problem(result, early, "streams ended before the measurement did")


async def hold(plan: Plan) -> Result:
    """Open `total` slow streams, `at_once` at a time, measure memory, and disconnect all."""
    calls = _calls(plan, plan.total)
    result = Result(rss_idle_kib=plan.pid and proc.rss_kib(plan.pid))
    opening = asyncio.Semaphore(plan.at_once)
    connections: list[Connection] = []
    await _bounded(plan, calls, (_open(plan, call, opening, connections) for call in calls))
    await asyncio.sleep(plan.window_s)
    result.rss_open_kib = plan.pid and proc.rss_kib(plan.pid)
    ended = sum(call.ended.is_set() for call in calls)
    for connection in connections:
        connection.close()
    left = await _left_open(plan)
    _add_problem(result, left, "upstream connections still open after all clients disconnected")
    return _add_problem(_tally(result, calls), ended, "streams ended before the measurement")


async def aborts(plan: Plan) -> Result:
    """Run `total` clients that disconnect early; the witness measures when upstream sees it.

    A client disconnects soon after its first token, or soon after the request has arrived
    upstream if the plan's answers have no early token.
    """
    calls = _calls(plan, plan.total)
    waiting = iter(calls)
    result = Result()
    workers = (_leave_each(plan, waiting, result) for _ in range(plan.at_once))
    await _bounded(plan, calls, workers)
    early = [call.problem or "complete answer" for call in calls if call.started]
    early = [problem for problem in early if problem != LEFT]
    result.problems += early[:_SHOWN]
    _add_problem(result, len(early), "calls ended before their client could disconnect")
    return _tally(result, calls)


def _calls(plan: Plan, count: int) -> list[Call]:
    specs = [msgspec.structs.replace(plan.spec, seed=number) for number in range(SEEDS)]
    run = f"{os.getpid()}-{time.monotonic_ns()}"
    return [
        Call(f"{run}-{number}", specs[number % SEEDS], stream=plan.stream, surface=plan.surface)
        for number in range(count)
    ]


@contextmanager
def _measured(plan: Plan, result: Result, chunks: Callable[[], int]) -> Iterator[None]:
    before, began = chunks(), time.monotonic()
    relay, drivers = _cpu_s(plan.pid), _drivers_cpu_s(plan)
    yield
    result.cpu_s = _cpu_s(plan.pid) - relay if plan.pid else None
    result.drivers_cpu_s = _drivers_cpu_s(plan) - drivers
    result.wall_s = time.monotonic() - began
    result.chunks = chunks() - before


def _drivers_cpu_s(plan: Plan) -> float:
    return time.process_time() + _cpu_s(plan.upstream_pid)


def _cpu_s(pid: int | None) -> float:
    return 0.0 if pid is None else proc.cpu_s(pid)


async def _bounded(
    plan: Plan, calls: list[Call], work: Iterator[Coroutine[object, object, None]]
) -> None:
    """Run all of `work`; calls that exceed the plan's time limit are given up."""
    try:
        async with asyncio.timeout(plan.limit_s), asyncio.TaskGroup() as group:
            for one in work:
                group.create_task(one)
    except TimeoutError:
        for call in calls:
            call.end(f"not finished within {plan.limit_s:g} s")


async def _run_consecutively(plan: Plan, waiting: Iterator[Call]) -> None:
    connection: Connection | None = None
    for call in waiting:
        connection = await _perform(plan, call, connection)
    if connection is not None:
        connection.close()


async def _run_single(plan: Plan, call: Call) -> None:
    connection = await _perform(plan, call, None)
    if connection is not None:
        connection.close()


async def _perform(plan: Plan, call: Call, connection: Connection | None) -> Connection | None:
    """Make a call and wait for its end; return the connection if it can be reused."""
    connection = await _begin(plan, call, connection)
    if connection is None:
        return None
    await call.ended.wait()
    if connection.alive and plan.keep_alive:
        return connection
    connection.close()
    return None


async def _begin(plan: Plan, call: Call, connection: Connection | None) -> Connection | None:
    call.started = time.monotonic()
    if connection is None or not connection.alive:
        try:
            connection = await connect(plan.port)
        except OSError as error:
            call.end(f"cannot connect: {error}")
            return None
    connection.begin(call, call.payload(plan.prefix, keep_alive=plan.keep_alive))
    return connection


async def _open(
    plan: Plan, call: Call, opening: asyncio.Semaphore, connections: list[Connection]
) -> None:
    async with opening:
        connection = await _begin(plan, call, None)
        if connection is not None:
            connections.append(connection)
        await call.first_token.wait()


async def _leave_each(plan: Plan, waiting: Iterator[Call], result: Result) -> None:
    for call in waiting:
        connection = await _begin(plan, call, None)
        if connection is None:
            continue
        await (call.first_token.wait() if plan.spec.delay else _ask(plan, "seen", call.ident))
        # A random moment between two tokens, or in the wait for the first one.
        await asyncio.sleep(random.uniform(0.005, 0.030))
        if call.ended.is_set():
            continue
        left = connection.close()
        _note_leaving(result, call, left, await _ask(plan, "gone", call.ident))
        if result.never >= 3 * plan.at_once and not result.abort_ms:
            return


def _note_leaving(result: Result, call: Call, left: float, record: Record | None) -> None:
    call.end(LEFT)
    if record is None or record.closed is None:
        result.never += 1
        return
    result.abort_ms.append((record.closed - left) * 1000)
    if call.turn_id is not None and len(result.samples) < _SAMPLED:
        result.samples.append(_sample(call, whole=False, sent=record.sent))


async def _ask(plan: Plan, what: str, ident: str) -> Record | None:
    """Return the witness's record once the request was `seen` or is `gone`; None on timeout."""
    reader, writer = await asyncio.open_connection("127.0.0.1", plan.upstream_port)
    writer.write(f"GET /{what}/{ident} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode())
    try:
        async with asyncio.timeout(plan.patience_s):
            return msgspec.json.decode(await _body(reader), type=Record)
    except TimeoutError:
        return None
    finally:
        writer.close()


async def _left_open(plan: Plan) -> int:
    """Wait until no upstream connection is busy; return the number left after `patience_s`."""
    deadline = time.monotonic() + plan.patience_s
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", plan.upstream_port)
        writer.write(b"GET /open HTTP/1.1\r\nhost: localhost\r\n\r\n")
        left = msgspec.json.decode(await _body(reader), type=int)
        writer.close()
        if left == 0 or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.1)


async def _body(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(int(head.rpartition(b":")[2]))


def _finish(result: Result, calls: list[Call]) -> Result:
    """Complete the result of a load whose calls should have been read completely."""
    bad = [f"{call.spec.model}: {call.problem}" for call in calls if call.problem]
    result.problems += bad[:_SHOWN]
    result.problem_count += len(bad)
    result.ttft_ms = [call.ttft_ms for call in calls if call.ttft_ms is not None]
    good = [call for call in calls if call.turn_id and not call.problem]
    result.samples = [_sample(call, whole=True) for call in good[:: len(good) // _SAMPLED + 1]]
    return _tally(result, calls)


def _tally(result: Result, calls: list[Call]) -> Result:
    """Count what was received, and check that partial texts are prefixes of what was sent."""
    begun = [call for call in calls if call.started]
    result.requests = len(begun)
    result.frames = sum(call.answer.frames for call in begun)
    result.all_chunks = sum(call.answer.chunks for call in begun)
    wrong = sum(
        call.answer.prefix_problem() is not None for call in begun if call.problem == "left"
    )
    return _add_problem(result, wrong, "disconnected clients had other text than was sent")


def _sample(call: Call, *, whole: bool, sent: int | None = None) -> Sample:
    assert call.turn_id is not None
    received = len(call.answer.text)
    return Sample(turn_id=call.turn_id, spec=call.spec, whole=whole, received=received, sent=sent)


def _add_problem(result: Result, count: int, what: str) -> Result:
    if count:
        result.problems.append(f"{count} {what}")
        result.problem_count += count
    return result
