"""A worker as this process: its event loop, its signals, its memory."""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial

from celers_worker.signalling import STOP_SIGNALS, TOLD_SIGNALS, on_terminal
from celers_worker.worker import Ending, Worker

#: The loop may take so long to close, in seconds, before the process ends without it.
_LONGEST_CLOSE = 5.0
#: So much longer than the loop Python's lock may be held, in seconds.
_LOCKED = 60.0
#: The guard looks this often, in seconds.
_LOOK = 1.0


def run_worker(worker: Worker) -> Ending:
    """Run *worker* as this process: on uvloop where it exists; signals stop and tell it.

    When handlers were abandoned they still run, and only the end of the process will end them.
    """
    # What start-up left in memory stays; the collector need not look through it again and again.
    # With larger generations this took a sixth off the CPU time of a task.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    runner = asyncio.Runner(loop_factory=_loop_factory())
    ending = None
    try:
        ending = runner.run(_with_signals(worker))
        return ending
    finally:
        # Closing waits for every coroutine, and those that were abandoned do not end.
        if ending is None or not ending.abandoned:
            _close(runner, code=int(ending is None))


def _close(runner: asyncio.Runner, *, code: int) -> None:
    """Close the loop, not for ever: a handler may have broken it, and then exit with *code*."""
    end = threading.Timer(_LONGEST_CLOSE, os._exit, (code,))
    end.daemon = True
    end.start()
    runner.close()
    end.cancel()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _with_signals(worker: Worker) -> Ending:
    guard = _Guard(worker)
    guarding = asyncio.create_task(guard.stand())
    try:
        return await worker.run()
    finally:
        guarding.cancel()
        faulthandler.cancel_dump_traceback_later()


class _Guard:
    """Keeps what belongs to the process from handlers that change it, by mistake or not."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        terminal = on_terminal()
        self._calls: dict[signal.Signals, Callable[[], object]] = {
            **{number: partial(worker.stop, number.name) for number in STOP_SIGNALS},
            signal.SIGHUP: partial(_hang_up, worker, terminal),
            signal.SIGTSTP: worker.quiet,
            signal.SIGCONT: worker.resume,
        }
        self._listen()
        # A supervisor has blocked them until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_SIGNALS)
        os.register_at_fork(after_in_child=self._forked)

    async def stand(self) -> None:
        """Look again and again."""
        while True:
            self._delay_the_end()
            if self._found() != self._handlers:
                self._listen()  # a worker that SIGTERM does not reach would be killed by systemd
            if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:  # nobody learns how one ended
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            await asyncio.sleep(_LOOK)

    def _listen(self) -> None:
        for number, call in self._calls.items():
            self._loop.remove_signal_handler(number)  # or uvloop would wait for ever to close
            self._loop.add_signal_handler(number, call)
        # Not through the loop: which task blocks it is what one wants to know most.
        signal.signal(signal.SIGUSR1, lambda number, frame: self._worker.print_stacks())
        self._handlers = self._found()

    def _found(self) -> list[object]:
        return [signal.getsignal(number) for number in (*self._calls, signal.SIGUSR1)]

    def _delay_the_end(self) -> None:
        """Have a thread that needs no lock of Python's end the process, unless we come back.

        The watchdog does it sooner and better, but it cannot run while a handler holds that lock.
        A process that was frozen for so long ends too; its lease is gone anyway.
        """
        deadline = self._worker.config.worker.loop_deadline.total_seconds() + _LOCKED
        if sys.__stderr__ is not None:
            with contextlib.suppress(OSError, ValueError):  # it is closed
                faulthandler.dump_traceback_later(deadline, exit=True, file=sys.__stderr__)

    def _forked(self) -> None:
        """A copy of this process that comes back to the event loop would work on our connections.

        One that ends itself, or becomes another program, is none of our business.
        """
        if threading.get_ident() == self._thread and not self._loop.is_closed():
            self._loop.call_soon(os._exit, 0)


def _hang_up(worker: Worker, terminal: bool) -> None:
    if terminal and not on_terminal():
        worker.stop("its terminal was closed")
    else:
        worker.reload()
