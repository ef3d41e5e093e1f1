"""The programs of a contestant: each does one thing and tells what came of it as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from bench.peers.contestant import Contestant, Trouble

CHECKOUT = Path(__file__).parents[2]
#: Seconds that a program may take, and a worker to end.
PATIENCE, STOP_PATIENCE = 600.0, 60.0


class Program:
    """A running process; the last line of JSON that it prints is its answer."""

    def __init__(self, command: Sequence[str], url: str, output: IO[bytes]) -> None:
        others = {name: value for name, value in os.environ.items() if name[:7] != "CELERS_"}
        self._command = command
        self._output = output
        self._process = subprocess.Popen(
            command,
            env={**others, "CELERS_DATABASE_URL": url, "PYTHONPATH": str(CHECKOUT)},
            cwd=CHECKOUT,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def answer(self, within: float = PATIENCE) -> dict[str, Any]:
        """Wait for its end. Empty if it has nothing to tell."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self._failure(f"did not end in {within:.0f} s") from None
        if code:
            raise self._failure(f"ended with {code}")
        answers = [line for line in self._lines() if line.startswith("{")]
        return json.loads(answers[-1]) if answers else {}

    def check(self) -> None:
        """Raise Trouble if it ended."""
        if self._process.poll() is not None:
            raise self._failure("ended too early")

    def stop(self) -> dict[str, Any]:
        """Ask it to end, and wait for its answer."""
        self._process.send_signal(signal.SIGTERM)
        return self.answer(STOP_PATIENCE)

    def kill(self) -> None:
        """Leave nothing behind when the benchmark ends early."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    def _lines(self) -> list[str]:
        self._output.seek(0)
        return self._output.read().decode(errors="replace").splitlines()

    def _failure(self, what: str) -> Trouble:
        return Trouble("\n".join([f"{' '.join(self._command)} {what}:", *self._lines()[-15:]]))


@dataclass(frozen=True, slots=True)
class Driver:
    """How to run what a contestant consists of."""

    contestant: Contestant
    command: tuple[str, ...]
    """Interpreter and program."""

    def run(self, role: str, url: str, number: int = 0) -> dict[str, Any]:
        """Run its program in this role to the end."""
        with _started((*self.command, role, url, str(number)), url) as program:
            return program.answer()

    @contextmanager
    def workers(self, url: str, count: int = 1) -> Iterator[list[Program]]:
        """So many worker processes, which do not outlive the block."""
        command = self.contestant.worker or (*self.command, "work", url)
        with contextlib.ExitStack() as stack:
            yield [stack.enter_context(_started(command, url)) for _ in range(count)]


@contextmanager
def _started(command: Sequence[str], url: str) -> Iterator[Program]:
    with tempfile.TemporaryFile() as output:
        program = Program(command, url, output)
        try:
            yield program
        finally:
            program.kill()
