"""What ends a worker that does not run for ever."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from celers_worker.core.events import Events, TasksSettled
from celers_worker.services.crew import Crew
from celers_worker.store.levels import Levels

#: ``forever``; ``drain``: until no task is due; ``once``: one claim.
Until: TypeAlias = Literal["forever", "drain", "once"]


def ending_of(
    until: Until, events: Events, crew: Crew, levels: Levels, stop: Callable[[str], None]
) -> Callable[[int], None]:
    """What is told after each claim how many tasks it found, and stops the worker in time."""
    looks_again = False

    def drained(count: int) -> None:
        nonlocal looks_again
        if count or crew.runner.runs or crew.settler.backlog:
            looks_again = False
        elif not looks_again:
            # That claim may have been sent before the last task ended, and what this one has
            # enqueued is due: the next claim looks at everything there is.
            looks_again = True
            levels.forget()
            crew.poller.wake()
        elif levels.exhausted:
            stop("no task is due")
        else:
            crew.poller.wake()

    match until:
        case "forever":
            return lambda count: None
        case "once":
            return lambda count: stop("one claim was asked for")
        case "drain":
            events.listen(TasksSettled, lambda event: crew.poller.wake())
            return drained
