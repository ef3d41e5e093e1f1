"""A worker in a thread of a synchronous application: Flask, Django, a script."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from celers_worker.app import Celers
from celers_worker.config import Config
from celers_worker.core.events import Events
from celers_worker.core.task import new_id
from celers_worker.worker import Ending, Worker


class WorkerThread:
    """Runs a worker beside the application, in a thread with an event loop of its own.

    Declare the tasks before it starts. Its handlers share the process, and Python's lock: for much
    work run ``celers worker`` instead. Several may run, for queues of their own. An application
    that forks starts it after the fork.
    """

    def __init__(
        self, app: Celers, config: Config | None = None, *, events: Events | None = None
    ) -> None:
        """Without a *config* the worker takes that of *app*."""
        self._app = app
        self._config = config
        self._events = events
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._ending: Ending | None = None
        self._error: BaseException | None = None
        # Not a daemon: the interpreter waits for it at its end, so forgetting to stop it shows.
        self._thread = threading.Thread(target=self._run, name=f"celers-worker-{new_id()}")

    def start(self) -> Self:
        """Start, and return when the worker claims. Raises what keeps it from starting."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def stop(self, reason: str = "its application stops it") -> Ending:
        """Stop as at SIGTERM: wait ``grace`` for what runs, then give it back. Raises its error."""
        if self._loop is not None and self._worker is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._worker.stop, reason)
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._ending or Ending(0, 0)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except BaseException as error:  # start() or stop() raises it
            self._error = error
        finally:
            self._ready.set()

    async def _work(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._worker = Worker(self._app, self._config, events=self._events)
        try:
            async with self._worker:
                self._ready.set()
                self._ending = await self._worker.ended()
        finally:
            await self._app.client.close_loop()
