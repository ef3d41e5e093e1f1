"""Supervisor: starts several worker processes, replaces those that die, and ends them.

The first process goes ahead. It finds out whether the application can be imported and the tables
are right, and says once what is not; the others have started, and wait until it works.

The supervisor imports neither the application nor a driver: nothing that breaks a worker breaks it.
Each process leads a session of its own, so that Ctrl-C reaches it once, through the supervisor, and
holds one end of a socket (link.py), so that it ends when its supervisor is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

from celers_worker import link
from celers_worker.config import Config
from celers_worker.config.reloading import reload_of
from celers_worker.core.errors import ConfigurationError
from celers_worker.core.events import (
    Events,
    ProcessDied,
    SupervisorStarted,
    SupervisorStopped,
    SupervisorStopping,
)
from celers_worker.core.process_events import ConfigurationReloaded, ReloadRefused
from celers_worker.core.restart import Exit, Finished, GiveUp, Replace, Restarts
from celers_worker.observe.notify import Notifier
from celers_worker.overview import Overview
from celers_worker.signalling import STOP_SIGNALS, TOLD_SIGNALS, on_terminal

#: What a process may take to end beyond its own limits, in seconds.
_MARGIN = 3.0
#: What it has sent before it ended is read for so long, in seconds.
_LAST_WORDS = 1.0


class Supervisor:
    """Runs *command* as so many processes as the configuration says; serves metrics for all.

    *restarts* says what follows the end of one. *reread* returns the configuration as it is by
    then, *notifier* leads to systemd.
    """

    def __init__(
        self,
        config: Config,
        command: Sequence[str],
        *,
        restarts: Restarts,
        events: Events,
        reread: Callable[[], Config],
        notifier: Notifier | None = None,
    ) -> None:
        self._config = config
        self._command = command
        self._restarts = restarts
        self._events = events
        self._processes: dict[int, _Process] = {}
        self._works = asyncio.Event()
        self._stopping = asyncio.Event()
        self._killed: list[str] = []
        self._code = 0
        self._reread = reread
        self._quiet = False
        self._overview = Overview(config, events, notifier)

    def run(self) -> int:
        """Run until all processes have ended, and return the exit code.

        0: each ended as it was asked to; 1: one did not, or had to be killed; otherwise that of a
        process that refuses to start. Raises ConfigurationError if metrics cannot be served.
        """
        return asyncio.run(self._supervise())

    # --- inside ---

    async def _supervise(self) -> int:
        async with self._overview.shown():
            return await self._run()

    async def _run(self) -> int:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._look)
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self._stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up, on_terminal())
        loop.add_signal_handler(signal.SIGUSR1, self._pass_on, signal.SIGUSR1)
        loop.add_signal_handler(signal.SIGTSTP, self._hold, True)
        loop.add_signal_handler(signal.SIGCONT, self._hold, False)
        began = time.monotonic()
        processes = self._config.worker.processes
        self._events.emit(SupervisorStarted(processes))
        async with asyncio.TaskGroup() as group:
            for place in range(1, processes + 1):
                keeping = group.create_task(self._keep(place))
                if place == 1:
                    keeping.add_done_callback(lambda task: self._works.set())
        self._events.emit(SupervisorStopped(self._killed, time.monotonic() - began))
        return self._code

    async def _keep(self, place: int) -> None:
        """See to it that there is a process in this place, until everybody ends."""
        deaths, ended = 0, None
        while not self._stopping.is_set():
            ended = await self._live(place, ended)
            verdict = self._restarts.verdict(
                ended,
                deaths=deaths,
                stopping=self._stopping.is_set(),
                alone=not any(process.ready for process in self._processes.values()),
            )
            match verdict:
                case Finished(well):
                    self._code = self._code or int(not well)
                    return
                case GiveUp(code):
                    self._code = code
                    self._stop(signal.SIGTERM, reason="a worker process refuses to start")
                case Replace(pause, deaths):
                    await self._pause(place, ended, pause)

    async def _live(self, place: int, before: Exit | None) -> Exit:
        """The whole life of one process; *before*: how the one ended that it replaces."""
        try:
            process = _Process(place, self._command, before)
        except OSError as error:  # no memory, too many processes
            return Exit(0, -1, timedelta(0), worked=False, error=f"not started: {error.strerror}")
        self._processes[place] = process
        listening = asyncio.create_task(self._listen(process))
        admitting = asyncio.create_task(self._admit(process))
        await process.ended.wait()
        admitting.cancel()
        # What it has started may hold its end of the socket for ever.
        await asyncio.wait({listening}, timeout=_LAST_WORDS)
        listening.cancel()
        del self._processes[place]
        self._overview.gone(place)
        return process.exit()

    async def _admit(self, process: _Process) -> None:
        if process.place > 1:
            await self._works.wait()
        with contextlib.suppress(OSError):  # it has just died
            process.end.send(link.TURN)
        if self._quiet:
            process.signal(signal.SIGTSTP)

    async def _listen(self, process: _Process) -> None:
        async for kind, body in link.messages(process.end):
            if kind == link.READY:
                process.ready = True
                self._works.set()
            elif kind == link.LEAVING:
                process.leaving = True
            elif kind == link.IDENTITY:
                process.worker = body.decode()
            self._overview.heard(process.place, kind, body)

    async def _pause(self, place: int, ended: Exit, pause: timedelta) -> None:
        lived, again_in = ended.lived.total_seconds(), pause.total_seconds()
        name = self._config.of_process(place).worker.name
        self._events.emit(ProcessDied(name, ended.pid, ended.how, lived, again_in))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(again_in):
                await self._stopping.wait()

    def _look(self) -> None:
        for process in self._processes.values():
            process.look()

    def _stop(self, number: signal.Signals, reason: str | None = None) -> None:
        """Tell everybody to end; the second time to end now. Whoever does not is killed."""
        worker, database = self._config.worker, self._config.database
        patience = _MARGIN + 2 * database.call_timeout.total_seconds()
        if not self._stopping.is_set():
            patience += (worker.grace + worker.cancel_grace).total_seconds()
            self._events.emit(SupervisorStopping(reason or number.name, len(self._processes)))
            self._overview.stopping()
            self._stopping.set()
        self._pass_on(number)
        asyncio.get_running_loop().call_later(patience, self._kill)

    def _hang_up(self, terminal: bool) -> None:
        """SIGHUP: the terminal was closed, or the configuration should be read again."""
        if terminal and not on_terminal():
            self._stop(signal.SIGHUP, "its terminal was closed")
            return
        self._overview.reloading()
        try:
            found = reload_of(self._config, self._reread())
        except ConfigurationError as error:
            self._events.emit(ReloadRefused(error.problems))
        else:
            self._config = found.config
            self._events.emit(
                ConfigurationReloaded(found.changed, found.waiting, found.config.log.level)
            )
        self._pass_on(signal.SIGHUP)

    def _hold(self, quiet: bool) -> None:
        """Have everybody claim no more, or again; those too that are still to come."""
        self._quiet = quiet
        self._pass_on(signal.SIGTSTP if quiet else signal.SIGCONT)

    def _pass_on(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            process.signal(number)

    def _kill(self) -> None:
        self._killed += (
            self._config.of_process(place).worker.name
            for place, process in self._processes.items()
            if not process.ended.is_set()
        )
        self._pass_on(signal.SIGKILL)


class _Process:
    """One worker process. Raises OSError if the system does not give one."""

    def __init__(self, place: int, command: Sequence[str], before: Exit | None) -> None:
        self.place = place
        self.ready = False
        self.worker: str | None = None
        self.leaving = False
        self.ended = asyncio.Event()
        self.end, other = socket.socketpair()
        self._began = time.monotonic()
        with other, _blocked():
            try:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    env={**os.environ, **_told(before), link.VARIABLE: f"{place}:{other.fileno()}"},
                    pass_fds=[other.fileno()],
                    start_new_session=True,
                )
            except OSError:
                self.end.close()
                raise

    def look(self) -> None:
        """Notice its end."""
        if self._process.poll() is not None:
            self.ended.set()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        self._process.send_signal(number)

    def exit(self) -> Exit:
        """How it ended."""
        lived = timedelta(seconds=time.monotonic() - self._began)
        return Exit(
            self._process.pid,
            self._process.returncode,
            lived,
            self.ready,
            worker=self.worker,
            leaving=self.leaving,
        )


def _told(before: Exit | None) -> dict[str, str]:
    """What a process is told of the one that it replaces: it can say what became of its tasks."""
    if before is None or before.worker is None:
        return {}
    return {link.PREDECESSOR: f"{before.worker} {before.how}"}


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    """A process that starts here is reached by no signal before it has said what to do then."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS + TOLD_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
