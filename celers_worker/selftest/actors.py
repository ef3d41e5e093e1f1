"""Processes as the campaign sees them. All of them die with it."""

from __future__ import annotations

import os
import signal
import tempfile
import time

import msgspec

from celers_worker.benchmark.process import WorkerProcess
from celers_worker.config import Config
from celers_worker.selftest import enqueuer, worker


class Actor(WorkerProcess):
    """One process, and what is done to it."""

    told = "a process of the selftest"

    def __init__(self, order: msgspec.Struct) -> None:
        self._ready = False
        super().__init__(order, tempfile.TemporaryFile())  # noqa: SIM115 - closed by close

    def await_ready(self) -> None:
        """Return when it works. Raises WorkerFailed."""
        if not self._ready:
            super().await_ready()
            self._ready = True

    def close(self) -> None:
        """Kill it if it lives, and let go of what belongs to it."""
        self.__exit__()
        self._log.close()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None while it lives."""
        return self._process.poll()

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        self._process.send_signal(number)

    def kill(self) -> int:
        """kill -9; return when it was, by the clock that all processes of a machine share."""
        at = time.monotonic_ns()
        self._process.kill()
        self._process.wait()
        return at

    def ended_within(self, seconds: float) -> bool:
        """Wait for its end, at most so long."""
        deadline = time.monotonic() + seconds
        while self.exit_code is None and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.exit_code is not None

    def last_words(self) -> str:
        """How it ended, with the last line of its log."""
        return str(self._failure())


class WorkerActor(Actor):
    """A worker."""

    module = worker.__name__
    told = "a worker of the selftest"

    def __init__(self, config: Config, notes: str) -> None:
        super().__init__(worker.Order(config, notes, os.getpid()))


class EnqueuerActor(Actor):
    """An enqueuer."""

    module = enqueuer.__name__
    told = "an enqueuer of the selftest"

    def __init__(self, config: Config, notes: str, *, dies: bool = False) -> None:
        super().__init__(enqueuer.Order(config, notes, os.getpid(), dies))
