"""Wait queue of tasks: trio's `ParkingLot` without the features that the hot path doesn't need."""

from trio.lowlevel import Abort, Task, current_task, reschedule, wait_task_rescheduled


class WaitQueue:
    """A set of waiting tasks that are all woken at once; a cancelled task leaves it."""

    __slots__ = ("_tasks",)

    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def __len__(self) -> int:
        return len(self._tasks)

    async def wait(self) -> None:
        """Wait for the next `wake`. Always a checkpoint."""
        task = current_task()
        self._tasks.append(task)

        def leave(_: object) -> Abort:
            self._tasks.remove(task)
            return Abort.SUCCEEDED

        await wait_task_rescheduled(leave)

    def wake(self) -> None:
        """Wake all tasks that are waiting now."""
        if self._tasks:
            tasks, self._tasks = self._tasks, []
            for task in tasks:
                reschedule(task)
