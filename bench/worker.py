"""A ``celers worker`` process, as a user starts it, and what it cost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO

from bench import cpu
from celers_worker.store import make_direct_store, survey

#: A worker that has not ended after so long hangs; in seconds.
PATIENCE = 900.0
LOOK = 0.01
_DEFAULTS: Mapping[str, str] = MappingProxyType({})


class WorkerFailed(Exception):
    """The worker did not start or end well; the message holds the end of its log."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a worker used, with its children, from the start of its interpreter to its exit."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int


class WorkerProcess:
    """One worker on the database at *url*; *settings* are variables of its environment."""

    def __init__(
        self, url: str, log: IO[bytes], *arguments: str, settings: Mapping[str, str]
    ) -> None:
        others = {name: value for name, value in os.environ.items() if name[:7] != "CELERS_"}
        command = [sys.executable, "-m", "celers_worker", "worker", "-A", "bench.tasks:app"]
        self._url = url
        self._log = log
        self._began = time.monotonic()
        self._process = subprocess.Popen(
            [*command, "--log-level", "warning", *arguments],
            env={**others, "CELERS_DATABASE_URL": url, **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    def await_ready(self) -> None:
        """Return when it has registered: then it claims."""
        with make_direct_store(self._url) as store:
            while not store.run(survey.list_workers):
                if self._process.poll() is not None:
                    raise self._failure()
                time.sleep(LOOK)

    @property
    def cpu_seconds(self) -> float:
        """What it has used so far."""
        return cpu.seconds_of([self._process.pid])

    @property
    def resident_bytes(self) -> int:
        """Its size now."""
        return self._size("VmRSS:")

    @property
    def log_lines(self) -> list[str]:
        """What it has said, which is nothing but warnings and errors."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").splitlines()

    def stop(self) -> None:
        """Ask it to end."""
        self._process.send_signal(signal.SIGTERM)

    def cost(self) -> Cost:
        """Wait for its end; what it used is known only then."""
        deadline = time.monotonic() + PATIENCE
        peak = 0
        while True:
            # Not rusage's, which begins with ours at the time of the fork.
            peak = max(peak, self._size("VmHWM:"))
            pid, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                raise self._failure()
            time.sleep(LOOK)
        wall = time.monotonic() - self._began
        self._process.returncode = os.waitstatus_to_exitcode(status)
        if self._process.returncode != 0:
            raise self._failure()
        return Cost(wall, usage.ru_utime + usage.ru_stime, peak)

    def kill(self) -> None:
        """Leave nothing behind when the benchmark ends early."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    def _size(self, key: str) -> int:
        try:
            lines = Path(f"/proc/{self._process.pid}/status").read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(key)), 0)

    def _failure(self) -> WorkerFailed:
        tail = self.log_lines[-15:]
        return WorkerFailed("\n".join(["The worker failed. Its log ends:", *tail]))


@contextmanager
def worker(
    url: str, *arguments: str, settings: Mapping[str, str] = _DEFAULTS
) -> Iterator[WorkerProcess]:
    """A worker that does not outlive the block."""
    with tempfile.TemporaryFile() as log:
        process = WorkerProcess(url, log, *arguments, settings=settings)
        try:
            yield process
        finally:
            process.kill()


def drain(url: str, *arguments: str, settings: Mapping[str, str] = _DEFAULTS) -> Cost:
    """Run a worker until nothing is due."""
    with worker(url, "--drain", *arguments, settings=settings) as process:
        return process.cost()
