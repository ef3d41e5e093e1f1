"""The Redis that Celery needs: private, with its append-only file, else a restart loses tasks."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench import cpu
from bench.peers.contestant import Tables, Trouble
from bench.peers.program import Program
from tests import processes

#: Seconds between two looks, for which a drain may go on, and a server or a worker take to start.
LOOK, PATIENCE, START = 0.005, 900.0, 30.0
#: Celery's list of tasks, and the hash of those that workers hold.
WAITING, HELD = "LLEN celery", "HLEN unacked"


class Redis:
    """A private server; each scenario finds it empty."""

    def __init__(self, port: int, pid: int) -> None:
        self._port = port
        self._pid = pid

    @contextmanager
    def place(self) -> Iterator[RedisPlace]:
        """The server, emptied."""
        with socket.create_connection(("127.0.0.1", self._port)) as connection:
            place = RedisPlace(f"redis://127.0.0.1:{self._port}/0", connection, self._pid)
            place.ask("FLUSHALL")
            yield place


class RedisPlace:
    """Redis as the scenarios see it; it counts no completed tasks."""

    def __init__(self, url: str, connection: socket.socket, pid: int) -> None:
        self.url = url
        self._connection = connection
        self._answers = connection.makefile("rb")
        self._pid = pid

    def ask(self, command: str) -> str:
        """The answer to a command."""
        self._connection.sendall(command.encode() + b"\r\n")
        answer = self._answers.readline().decode().strip()
        if answer.startswith("-"):
            raise Trouble(f"Redis refused {command}: {answer[1:]}")
        if answer.startswith("$"):
            return self._answers.read(int(answer[1:]) + 2).decode()
        return answer[1:]

    def settle_down(self) -> None:
        """Do nothing: it keeps no statistics."""

    @contextmanager
    def gate(self, tables: Tables) -> Iterator[RedisGate]:
        """Nobody can take a task before it is opened: whoever writes has to wait."""
        self.ask(f"CLIENT PAUSE {PATIENCE * 1000:.0f} WRITE")
        gate = RedisGate(self)
        try:
            yield gate
        finally:
            gate.open()

    def last_task(self, tables: Tables) -> None:
        """Nothing: to look whether any is left is cheap here."""

    def await_settled(self, tables: Tables, last: None) -> None:
        """Return when no task is left."""
        deadline = time.monotonic() + PATIENCE
        while self.ask(WAITING) != "0" or self.ask(HELD) != "0":
            if time.monotonic() > deadline:
                raise Trouble("The drain did not end.")
            time.sleep(LOOK)

    def completed(self, tables: Tables) -> None:
        """Not known."""

    def cpu_seconds(self) -> float:
        """What the server used so far."""
        return cpu.seconds_of([self._pid])

    def written_bytes(self) -> int:
        """How much the append-only file holds."""
        fields = dict(
            line.split(":") for line in self.ask("INFO persistence").split() if ":" in line
        )
        return int(fields["aof_current_size"])


@dataclass(frozen=True, slots=True)
class RedisGate:
    """A pause of all writers."""

    _place: RedisPlace

    def await_arrival(self, workers: Sequence[Program]) -> None:
        """Return when as many sessions wait."""
        deadline = time.monotonic() + START
        while self._place.ask("CLIENT LIST").count(" flags=b ") < len(workers):
            for worker in workers:
                worker.check()
            if time.monotonic() > deadline:
                raise Trouble(f"Less than {len(workers)} worker processes came to take tasks.")
            time.sleep(LOOK)

    def open(self) -> None:
        """Let them write."""
        self._place.ask("CLIENT UNPAUSE")


@contextmanager
def redis(binary: Path) -> Iterator[Redis]:
    """A block in which there is a server."""
    with tempfile.TemporaryDirectory(prefix="celers-redis-") as directory:
        if os.geteuid() == 0:
            os.chown(directory, *processes.unprivileged_user())
        port = _free_port()
        options = ("--port", str(port), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", "")
        command = processes.guarded([str(binary), *options, "--dir", directory])
        server = subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL)
        try:
            _await_start(port)
            yield Redis(port, server.pid)
        finally:
            server.kill()
            server.wait()


def _await_start(port: int) -> None:
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(LOOK)
    raise Trouble("Redis did not start.")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
