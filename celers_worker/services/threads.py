"""Threads: where plain functions run, beside the event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celers_worker.services.run import Run


class Threads:
    """A pool of threads for handlers."""

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="celers-handler")

    async def call(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the function of *run*'s handler in a thread, and return or raise what it does.

        Cancelled, it waits for the thread all the same: nobody can interrupt it, and what it has
        done is done. Only if the handler has seen that it should end, its return says nothing. The
        worker gives the run up after its grace.
        """
        call = functools.partial(
            contextvars.copy_context().run, run.handler.function, *args, **kwargs
        )
        run.thread = self._pool.submit(_contained, run, call)
        ended = asyncio.wrap_future(run.thread)
        try:
            kind, value = await asyncio.shield(ended)
        except asyncio.CancelledError:
            if run.thread.cancel():  # no thread had begun it
                raise
            kind, value = await ended
            if run.context.heeded:
                raise
        if kind:
            raise value
        return value

    def close(self) -> None:
        """Take no more work. Threads that run are not waited for."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _contained(run: Run, call: Callable[[], Any]) -> tuple[bool, Any]:
    """Bring an exception back as a value: a future cannot carry StopIteration or SystemExit."""
    worker = os.getpid()
    run.thread_id = threading.get_ident()
    try:
        return False, call()
    except BaseException as error:  # the loop raises it, in the run
        return True, error
    finally:
        if os.getpid() != worker:
            os._exit(0)  # the handler has forked, and this copy of it has come back
