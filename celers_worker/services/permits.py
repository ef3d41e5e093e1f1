"""Permits: room for running tasks, in three tiers: global, per queue, per handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import attrgetter

from celers_worker.core.orders import Limits
from celers_worker.core.task import Demand, Task

_QUEUE, _NAME = attrgetter("queue"), attrgetter("name")


class Permits:
    """Counts what runs against the limits.

    A claim asks for no more than ``demand`` says, so a claimed task always has somewhere to run,
    and no limit is ever exceeded in this process.
    """

    def __init__(
        self,
        *,
        total: int,
        prefetch: int = 0,
        served: frozenset[str] | None = None,
        queues: Mapping[str, int] | None = None,
        queue_default: int | None = None,
        handlers: Mapping[str, int] | None = None,
    ) -> None:
        """*served*: the queues to claim from, None for every queue there is.

        *prefetch*: so many tasks may be claimed ahead of the total, to wait in this process. No
        limit of a queue or a handler is exceeded by them.
        """
        self.total = total
        self._claimable = total + prefetch
        self.in_use = 0
        self.in_use_by_queue: Counter[str] = Counter()
        self.in_use_by_handler: Counter[str] = Counter()
        self._served = served
        self._queues = dict(queues or {})
        self._queue_default = total if queue_default is None else queue_default
        self._handlers = dict(handlers or {})
        self._held: dict[str, int] = {}
        self._closed = False
        self._on_free: Callable[[], None] = lambda: None

    def change(
        self,
        *,
        total: int,
        prefetch: int,
        queues: Mapping[str, int],
        queue_default: int | None,
        handlers: Mapping[str, int],
    ) -> None:
        """Set other limits. What runs beyond them ends in its own time; nothing is claimed until
        it has.
        """
        excluded = {name: 0 for name, limit in self._handlers.items() if not limit}
        self._handlers = {**handlers, **excluded}
        self._claimable = self.total + prefetch
        self.resize(total, queues=queues, queue_default=queue_default)

    @property
    def limits(self) -> Limits:
        """The limits by which ``demand`` is made, for whoever wonders why a task waits."""
        return Limits(
            queues={
                name: self._queues.get(name, self._queue_default)
                for name in self._served or self._queues
            },
            others=self._queue_default if self._served is None else None,
            handlers=dict(self._handlers),
        )

    def on_free(self, callback: Callable[[], None]) -> None:
        """Call *callback* whenever a permit is given back."""
        self._on_free = callback

    def limit_of_queue(self, name: str) -> int:
        """How many tasks of a queue may run at once."""
        return self._queues.get(name, self._queue_default)

    def use_of_queues(self) -> dict[str, int]:
        """What runs of each queue that has a limit of its own, or of which something runs."""
        return {
            name: self.in_use_by_queue.get(name, 0)
            for name in {**self._queues, **self.in_use_by_queue}
        }

    def use_of_handlers(self) -> dict[str, tuple[int, int]]:
        """What runs of each handler that has a limit, and that limit."""
        return {
            name: (self.in_use_by_handler.get(name, 0), limit)
            for name, limit in self._handlers.items()
            if limit
        }

    def exclude(self, handler: str) -> None:
        """Claim no task of this name any more: nobody here can run it."""
        self._handlers[handler] = 0

    @property
    def holding(self) -> bool:
        """Whether handlers are held."""
        return bool(self._held)

    @property
    def closed(self) -> bool:
        """Whether nothing is claimed, however much room there is."""
        return self._closed

    def close(self) -> None:
        """Claim nothing any more, until ``reopen``."""
        self._closed = True

    def reopen(self) -> None:
        """Claim again."""
        self._closed = False
        self._on_free()

    def hold(self, held: Mapping[str, int]) -> None:
        """Claim no tasks of these handlers but so many of each; all others are free again."""
        freed = self._held.keys() - held.keys() or any(held.values())
        self._held = dict(held)
        if freed:
            self._on_free()

    def resize(self, total: int, *, queues: Mapping[str, int], queue_default: int | None) -> None:
        """Run so many tasks at once from now on; what runs beyond that is left to end."""
        self._claimable += total - self.total
        self.total = total
        self._queues = dict(queues)
        self._queue_default = total if queue_default is None else queue_default
        self._on_free()

    def demand(self, *, at_most: int | None = None) -> Demand:
        """What there is room for now."""
        free = 0 if self._closed else self._claimable - self.in_use
        named = self._served if self._served is not None else {*self._queues, *self.in_use_by_queue}
        return Demand(
            total=max(free if at_most is None else min(free, at_most), 0),
            queues={queue: max(self._room(queue), 0) for queue in named},
            others=self._claims_of(self._queue_default) if self._served is None else None,
            handlers=self._rooms(),
        )

    def take(self, task: Task) -> None:
        """Count a claimed task."""
        self.take_all([task])

    def take_all(self, tasks: Sequence[Task]) -> None:
        """Count claimed tasks."""
        self.in_use += len(tasks)
        self.in_use_by_queue.update(map(_QUEUE, tasks))
        self.in_use_by_handler.update(map(_NAME, tasks))
        if self._held:
            for task in tasks:
                if self._held.get(task.name):
                    self._held[task.name] -= 1

    def give_back(self, tasks: Sequence[Task]) -> None:
        """Count tasks as ended."""
        self.in_use -= len(tasks)
        _count_down(self.in_use_by_queue, map(_QUEUE, tasks))
        _count_down(self.in_use_by_handler, map(_NAME, tasks))
        self._on_free()

    def _rooms(self) -> dict[str, int]:
        rooms = {
            name: max(limit - self.in_use_by_handler.get(name, 0), 0)
            for name, limit in self._handlers.items()
        }
        for name, room in self._held.items():
            rooms[name] = min(room, rooms.get(name, room))
        return rooms

    def _room(self, queue: str) -> int:
        limit = self._queues.get(queue, self._queue_default)
        return self._claims_of(limit) - self.in_use_by_queue.get(queue, 0)

    def _claims_of(self, limit: int) -> int:
        """What may be claimed of a queue with this limit; the total is none of its own."""
        return limit if limit < self.total else self._claimable


def _count_down(counts: Counter[str], keys: Iterable[str]) -> None:
    for key, count in Counter(keys).items():
        counts[key] -= count
        if not counts[key]:
            del counts[key]  # queues and names come and go; the counts must not grow with them
