"""Runs of handlers in this process, one after the other."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import time
from collections.abc import Callable
from typing import Any

import msgspec

from celers_worker.app.locating import found
from celers_worker.child.connection import Connection, Running
from celers_worker.child.host import NO_DATABASE, ChildHost
from celers_worker.child.memory import bounded, in_use
from celers_worker.child.traces import difference, traces
from celers_worker.config import Config
from celers_worker.core import wire
from celers_worker.core.context import Context
from celers_worker.core.handler import Handler
from celers_worker.core.outcome import Outcome, failure_of, outcome_of_failure, outcome_of_value
from celers_worker.core.run_log import runs_here
from celers_worker.core.size import format_size
from celers_worker.observe.log_output import adopt_foreign_logs, configure_logs

#: What a handler leaves running on its event loop may take so long to end, in seconds.
_LEFT = 1.0


def serve(end: int) -> None:
    """Run what comes over the socket *end*, until the worker closes it."""
    connection = Connection(socket.socket(fileno=end))
    if connection.open():
        process = _Process(connection)
        for running in connection.runs():
            process.run(running)


class _Process:
    """What is kept from run to run."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._config = msgspec.json.decode(connection.setup.config, type=Config)
        self._host = ChildHost(connection)
        self._handlers: dict[str, Handler] = {}
        self._pid = os.getpid()
        self._count = 0
        log = self._config.log
        configure_logs(log.level, log.format, process=connection.setup.label)
        adopt_foreign_logs(log.level)

    def run(self, running: Running) -> None:
        """Run one task, and say what came of it."""
        start = running.start
        try:
            handler = self._handler(start.module, start.task.name)
        except BaseException as error:
            self._connection.send(wire.Refused(_told(start.module, error)))
            return
        before = traces()
        self._connection.send(wire.Begun())
        outcome, exhausted = self._outcome(running, handler)
        if os.getpid() != self._pid:
            os._exit(0)  # the handler has forked, and this copy of it has come back
        self._count += 1
        spoilt = "it ran out of memory" if exhausted else difference(before) or self._worn()
        self._connection.send(wire.Ended.of(outcome, spoilt))

    def _handler(self, module: str, name: str) -> Handler:
        if name not in self._handlers:
            client, handler = found(module, name)
            client.config = self._config
            client.seal(NO_DATABASE)
            self._handlers[name] = client.configured(handler)
        return self._handlers[name]

    def _outcome(self, running: Running, handler: Handler) -> tuple[Outcome, bool]:
        """What the run came to, and whether it has met the bound of its memory."""
        task, memory = running.start.task, running.start.memory
        began = time.monotonic()
        try:
            context = Context(task, self._host)
            runs_here(lambda: context)
            args, kwargs = handler.decode_arguments(task.payload, context)
            with bounded(memory):
                value = _called(running, context, handler.function, args, kwargs)
            return outcome_of_value(value, handler, runtime=time.monotonic() - began), False
        except BaseException as error:
            exhausted = isinstance(error, MemoryError) and memory is not None
            if exhausted and memory is not None:
                error.args = (f"the run used more than its memory of {format_size(memory)}",)
            runtime = time.monotonic() - began
            return outcome_of_failure(task, error, handler, runtime=runtime), exhausted

    def _worn(self) -> str | None:
        settings = self._config.executor
        if settings.max_tasks is not None and self._count >= settings.max_tasks:
            return f"it has run {self._count} tasks"
        if settings.max_memory is not None and (used := in_use()) > settings.max_memory:
            return f"it uses {used // 1_000_000}MB"
        return None


def _called(
    running: Running,
    context: Context,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    if not inspect.iscoroutinefunction(function):
        running.on_stop(lambda message: context.stop())
        return function(*args, **kwargs)
    # One of its own for each run, made without the policy that a handler may have replaced.
    loop = asyncio.SelectorEventLoop()
    try:
        run = loop.create_task(function(*args, **kwargs))

        def stop(message: wire.Stop) -> None:
            context.stop()
            if not message.asks:
                with contextlib.suppress(RuntimeError):  # the loop is closed: the run has ended
                    loop.call_soon_threadsafe(run.cancel)

        running.on_stop(stop)
        return loop.run_until_complete(run)
    finally:
        with contextlib.suppress(Exception):  # a handler that has closed its descriptors
            _close(loop)


def _close(loop: asyncio.AbstractEventLoop) -> None:
    """End what the handler has left running, as far as it lets us."""
    left = asyncio.all_tasks(loop)
    for task in left:
        task.cancel()
    if left:
        loop.run_until_complete(asyncio.wait(left, timeout=_LEFT))
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()


def _told(module: str, error: BaseException) -> str:
    return (
        f"its process cannot import {module}: {failure_of(error)}. The process has only some of "
        "the worker's environment: name what the module needs in [executor] environment."
    )
