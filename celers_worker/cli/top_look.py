"""The thread of ``celers top`` that talks to the database: it looks, and does what a key says."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import UUID

from celers_worker.core.errors import StoreError

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.overview import Overview

#: A look is followed by a pause of so many times its length: the database has other work.
_SHARE = 9
_REASON = "by celers top"


class Look:
    """Looks again and again; a database that is away is tried again until it is back."""

    def __init__(
        self,
        store: DirectStore,
        interval: float,
        *,
        on_seen: Callable[[Overview], None],
        on_lost: Callable[[str], None],
        on_done: Callable[[str], None],
    ) -> None:
        self._store = store
        self._interval = interval
        self._on_seen = on_seen
        self._on_lost = on_lost
        self._on_done = on_done
        self._orders: queue.SimpleQueue[Callable[[], str] | None] = queue.SimpleQueue()
        # A daemon: a database that does not answer must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="celers-top", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._orders.put(None)

    def toggle(self, name: str, *, paused: bool) -> None:
        """Pause a queue, or resume one that is *paused*."""
        self._orders.put(lambda: self._toggle(name, paused))

    def cancel(self, task_id: UUID) -> None:
        """Ask a task to stop."""
        self._orders.put(lambda: self._cancel(task_id))

    def requeue(self, task_id: UUID) -> None:
        """Let a dead task wait again."""
        self._orders.put(lambda: self._requeue(task_id))

    def _run(self) -> None:
        from celers_worker.store.overview import overview

        with contextlib.suppress(RuntimeError):  # the view has ended
            while True:
                began = time.monotonic()
                try:
                    self._on_seen(self._store.run(overview))
                except StoreError as error:
                    self._on_lost(str(error))
                took = time.monotonic() - began
                try:
                    order = self._orders.get(timeout=max(self._interval, _SHARE * took))
                except queue.Empty:
                    continue
                if order is None:
                    return
                try:
                    self._on_done(order())
                except StoreError as error:
                    self._on_done(f"not done: {error}")

    def _toggle(self, name: str, paused: bool) -> str:
        from celers_worker.store import control

        if paused:
            self._store.run(control.resume, name)
            return f"resumed {name}"
        self._store.run(control.pause, name, _REASON)
        return f"paused {name}"

    def _cancel(self, task_id: UUID) -> str:
        from celers_worker.store import control
        from celers_worker.store.inspect import TaskFilter

        done = self._store.run(control.cancel, TaskFilter(ids=[task_id]), f"cancelled {_REASON}")
        if done.requested:
            return f"asked {task_id} to stop"
        return f"cancelled {task_id}" if done.cancelled else f"{task_id} has ended already"

    def _requeue(self, task_id: UUID) -> str:
        from celers_worker.store import control
        from celers_worker.store.inspect import TaskFilter

        done = self._store.run(control.requeue, TaskFilter(ids=[task_id]))
        if done.conflicts:
            return f"not requeued: a live task has the unique key of {task_id}"
        return f"requeued {task_id}" if done.ids else f"{task_id} is not dead any more"
