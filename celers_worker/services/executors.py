"""Executors: where handlers run that do not run on the event loop as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from celers_worker.services.children import Children
from celers_worker.services.run import Run
from celers_worker.services.threads import Threads


class Executors:
    """The threads and the processes of one worker."""

    def __init__(self, threads: Threads, children: Children | None) -> None:
        self._threads = threads
        self._children = children

    async def call(
        self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any], begin: Callable[[], None]
    ) -> Any:
        """Call the function of *run*'s handler where it runs, and return or raise what it does.

        A process decodes the arguments itself; *begin* is called when it calls the handler.
        """
        match run.handler.runs:
            case "async":
                return await run.handler.function(*args, **kwargs)
            case "thread":
                return await self._threads.call(run, args, kwargs)
            case "process":
                assert self._children is not None, "a crew has children"
                return await self._children.call(run, begin)

    @property
    def waiting(self) -> Iterable[Run]:
        """The runs for which there is no process yet."""
        return () if self._children is None else tuple(self._children.waiting)

    def close(self) -> None:
        """Take no more work. Threads that run are not waited for, processes are killed."""
        self._threads.close()
        if self._children is not None:
            self._children.kill()
