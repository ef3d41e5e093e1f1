"""A worker process as the benchmark sees it: started, ready, ended."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Self

import msgspec

from celers_worker.benchmark.worker import READY, Order
from celers_worker.config import Config
from celers_worker.core.errors import CelersError
from celers_worker.worker import Until

#: To start Python and to connect, and to end in order; in seconds. Longer means that it hangs.
PATIENCE = 60.0


class WorkerFailed(CelersError):
    """A worker process did not start or end well; the message holds the last line of its log."""


class WorkerProcess:
    """One worker. It ends when its input is closed, so at the latest with this process."""

    module = "celers_worker.benchmark.worker"
    told = "a worker process of the benchmark"

    def __init__(self, order: msgspec.Struct, log: IO[bytes]) -> None:
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", self.module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # a Ctrl-C is ours, who close its input
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        self._input.write(msgspec.json.encode(order) + b"\n")
        self._input.flush()

    def await_ready(self) -> None:
        """Return when it is registered: now it claims. Raises WorkerFailed."""
        readable, _, _ = select.select([self._output], [], [], PATIENCE)
        if not readable or self._output.readline() != READY:
            raise self._failure()

    def check(self) -> None:
        """Raise WorkerFailed if it has ended by itself."""
        if self._process.poll() is not None:
            raise self._failure()

    def await_end(self, within: float) -> None:
        """Let it end by itself within so many seconds, else end it. Raises WorkerFailed."""
        try:
            self._process.wait(max(within, 0))
        except subprocess.TimeoutExpired:
            self._input.close()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                raise self._failure() from None
        if self._process.returncode != 0:
            raise self._failure()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind when the measurement ends early."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for pipe in (self._output, self._input):
            pipe.close()

    def _failure(self) -> WorkerFailed:
        code = self._process.poll()
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        ended = "does not answer" if code is None else f"ended with exit code {code}"
        return WorkerFailed(f"{self.told} {ended}: {last}")


@contextmanager
def worker_processes(
    config: Config, until: Until, number: int
) -> Iterator[Sequence[WorkerProcess]]:
    """So many workers, started at once and ready; none outlives the block."""
    with ExitStack() as stack:
        processes = []
        for _ in range(number):
            log = stack.enter_context(tempfile.TemporaryFile())
            processes.append(stack.enter_context(WorkerProcess(Order(config, until), log)))
        for process in processes:
            process.await_ready()
        yield processes


def await_ends(processes: Sequence[WorkerProcess], within: float) -> None:
    """Let all of them end by themselves within so many seconds, else end them."""
    deadline = time.monotonic() + within
    for process in processes:
        process.await_end(deadline - time.monotonic())
