"""Processes born by fork from one that has imported everything: as real as others, and at once.

A worker needs a second of CPU to import what it is made of, and the fault suite kills hundreds.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import resource
import runpy
import selectors
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

REPOSITORY = Path(__file__).parents[2]
_PR_SET_PDEATHSIG = 1


class Child:
    """A process of the nursery, with the few methods of ``subprocess.Popen`` that tests use."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ended = threading.Event()

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it lives."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end. Raises subprocess.TimeoutExpired."""
        if not self._ended.wait(timeout):
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def ended(self, code: int) -> None:
        """Called by the nursery."""
        self.returncode = code
        self._ended.set()


class Nursery:
    """Starts processes; all of them die with it, and it dies with the tests."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.nursery"],
            cwd=REPOSITORY,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._children: dict[int, Child] = {}
        self._lock = threading.Lock()
        self._born: list[int] = []
        self._birth = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        self._reader.join(20)
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        limits: Mapping[int, int] | None = None,
    ) -> Child:
        """Run ``python -m program arguments``; *limits* by the numbers of ``resource``."""
        request = {
            "program": program,
            "arguments": list(arguments),
            "environment": dict(environment),
            "log": str(log),
            "limits": list((limits or {}).items()),
        }
        with self._lock, self._birth:
            assert self._process.stdin is not None
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
            if not self._birth.wait_for(lambda: self._born, timeout=60):
                raise RuntimeError("the nursery does not answer")
            return self._children[self._born.pop()]

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said: dict[str, int] = json.loads(line)
            with self._birth:
                if "born" in said:
                    self._children[said["born"]] = Child(said["born"])
                    self._born.append(said["born"])
                    self._birth.notify_all()
                else:
                    self._children.pop(said["ended"]).ended(said["code"])


# --- the other side: the process itself ---


def main() -> None:
    """Fork on request, and tell who has ended."""
    _import_everything()
    selector = selectors.DefaultSelector()
    os.set_blocking(0, False)
    selector.register(0, selectors.EVENT_READ)
    buffer, open_ended = b"", True
    while open_ended:
        for key, _ in selector.select():
            if key.fd != 0:
                _bury(selector, key.fd, key.data)
                continue
            read = os.read(0, 1 << 16)
            open_ended = bool(read)
            *requests, buffer = (buffer + read).split(b"\n")
            for request in requests:
                pid = _fork(json.loads(request), selector)
                selector.register(os.pidfd_open(pid), selectors.EVENT_READ, pid)
                _say(born=pid)
    for key in selector.get_map().values():
        if key.fd != 0:
            os.kill(key.data, signal.SIGKILL)


def _import_everything() -> None:
    import alembic.command
    import asyncmy
    import asyncpg
    import psycopg
    import pymysql
    import uvloop

    import celers_worker.cli.worker
    import celers_worker.process
    import celers_worker.store.migrate
    import celers_worker.store.mysql
    import celers_worker.store.postgres.direct
    import celers_worker.store.postgres.store
    import celers_worker.store.sqlite
    import tests.faults.crash_points
    import tests.faults.handlers

    del alembic, asyncmy, asyncpg, psycopg, pymysql, uvloop, celers_worker, tests


def _bury(selector: selectors.BaseSelector, fd: int, pid: int) -> None:
    selector.unregister(fd)
    os.close(fd)
    _, status = os.waitpid(pid, 0)
    _say(ended=pid, code=os.waitstatus_to_exitcode(status))


def _say(**what: int) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _fork(request: Mapping[str, Any], selector: selectors.BaseSelector) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        for key in list(selector.get_map().values()):
            if key.fd != 0:
                os.close(key.fd)
        selector.close()
        _become(request)
    except KeyboardInterrupt:
        code = 130
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _become(request: Mapping[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests run below
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.close(nothing)
    os.environ.update(request["environment"])
    for kind, limit in request["limits"]:
        resource.setrlimit(kind, (limit, limit))
    from tests.faults import crash_points

    crash_points.install_from_environment()
    sys.argv = [request["program"], *request["arguments"]]
    runpy.run_module(request["program"], run_name="__main__")


if __name__ == "__main__":
    main()
