"""A worker as this process: its event loop, its signals, its memory."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Callable

from celers_worker.signalling import STOP_SIGNALS, TOLD_SIGNALS, on_terminal
from celers_worker.worker import Ending, Worker


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
            runner.close()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


async def _with_signals(worker: Worker) -> Ending:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, worker.stop, signal.Signals(number).name)
    terminal = on_terminal()
    loop.add_signal_handler(signal.SIGHUP, _hang_up, worker, terminal)
    loop.add_signal_handler(signal.SIGTSTP, worker.quiet)
    loop.add_signal_handler(signal.SIGCONT, worker.resume)
    # Not through the loop: which task blocks it is what one wants to know most.
    signal.signal(signal.SIGUSR1, lambda number, frame: worker.print_stacks())
    # A supervisor has blocked them until now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, TOLD_SIGNALS)
    return await worker.run()


def _hang_up(worker: Worker, terminal: bool) -> None:
    if terminal and not on_terminal():
        worker.stop("its terminal was closed")
    else:
        worker.reload()
