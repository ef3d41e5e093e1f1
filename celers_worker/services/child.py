"""One process of a handler, as its worker sees it: spoken to, watched, killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import msgspec

from celers_worker.core import wire
from celers_worker.core.errors import ProcessLost
from celers_worker.core.restart import described
from celers_worker.core.size import format_size

#: The memory of a run that has a bound is looked at this often, in seconds.
_LOOK = 0.1
#: What is killed ends within so many seconds, unless the kernel itself holds it.
_END = 10.0
#: Its exit status comes after the end of its connection, mostly at once; a core takes its time.
_LAST = 2.0
#: What is let go may take so long to end by itself, in seconds.
_FAREWELL = 2.0

_PROGRAM = (
    "import sys; sys.path[:] = sys.argv.pop().split(chr(10)); "
    "from celers_worker.child.program import main; main()"
)


class Child:
    """A process that leads a session of its own, and runs one task at a time.

    It ends when this worker does, by whatever: it holds the other end of a pipe. Raises OSError
    if the system gives no process.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.killed: str | None = None
        """Why we have killed it."""
        self._stolen = False
        self._exhausted = False
        self._end, theirs = socket.socketpair()
        pipe, self._pipe = os.pipe()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        try:
            with theirs:
                self._process = subprocess.Popen(
                    [
                        *(sys.executable, "-c", _PROGRAM),
                        *(str(theirs.fileno()), str(pipe), str(os.getpid())),
                        "\n".join(sys.path),
                    ],
                    stdin=subprocess.DEVNULL,
                    env=dict(environment),
                    pass_fds=[theirs.fileno(), pipe],
                    start_new_session=True,
                )
        except OSError:
            self._end.close()
            os.close(self._pipe)
            raise
        finally:
            os.close(pipe)
        self.pid = self._process.pid

    @property
    def lives(self) -> bool:
        """Whether it has not ended yet. What has ended stays a zombie until ``ended``."""
        if self._process.returncode is not None:
            return False
        waits = os.WEXITED | os.WNOHANG | os.WNOWAIT
        try:
            return os.waitid(os.P_PID, self.pid, waits) is None
        except ChildProcessError:  # a handler of this worker has waited for whatever child
            self._stolen = True
            return False

    async def open(self, setup: wire.Setup) -> None:
        """Speak to it for the first time."""
        self._streams = await asyncio.open_unix_connection(sock=self._end)
        self.tell(setup)

    def tell(self, message: wire.ToProcess) -> None:
        """Say *message*; one that has just died hears nothing."""
        if self._streams is not None and not self._streams[1].is_closing():
            self._streams[1].write(wire.framed(message))

    async def heard(self) -> AsyncIterator[wire.ToWorker]:
        """What it says, until it has ended or talks nonsense, which ends it."""
        assert self._streams is not None, "it is opened before"
        reader, _ = self._streams
        while True:
            try:
                (length,) = wire.LENGTH.unpack(await reader.readexactly(wire.LENGTH.size))
                body = await reader.readexactly(wire.checked(length))
                message = wire.said_by_process(body)
            except (asyncio.IncompleteReadError, OSError):
                return
            except msgspec.MsgspecError:
                self.kill("it wrote into its connection to the worker")
                return
            yield message

    def kill(self, reason: str) -> None:
        """Kill it, and what it has started, for *reason*."""
        self.killed = self.killed or reason
        self._kill_group()

    async def let_go(self) -> None:
        """Let it end by itself, for it may have something to close; then kill what is left."""
        if self._streams is not None:
            self._streams[1].close()
        await self._until(time.monotonic() + _FAREWELL)
        await self.ended()

    async def ended(self) -> str:
        """See it end, with what it has started, and return how, in words."""
        await self._until(time.monotonic() + _LAST)
        if self.lives:
            self.kill("it has closed its connection to the worker")
        self._kill_group()
        await self._until(time.monotonic() + _END)
        code = self._process.poll()
        self._close()
        if self._stolen:
            return "a handler of the worker has taken its exit status"
        return "it cannot be killed" if code is None else described(code)

    async def watch(self, limit: int) -> None:
        """Kill it when it uses more than *limit* bytes; the kernel does not see all of them."""
        while True:
            used = _memory_of(self.pid)
            if used > limit:
                self._exhausted = True
                self.kill(f"the run used more than its memory of {format_size(limit)}")
                return
            await asyncio.sleep(_LOOK)

    def lost(self, how: str) -> Exception:
        """What the run that it had is told to have failed of, if it ended so."""
        if self._exhausted:
            return MemoryError(self.killed)
        if self.killed is None:
            perhaps = "; the kernel kills so when memory runs out" if how == "SIGKILL" else ""
            return ProcessLost(f"its process ended: {how}{perhaps}")
        return ProcessLost(f"its process was killed: {self.killed}")

    def _kill_group(self) -> None:
        # Until it is reaped its number is its own. If somebody else has reaped it, its keeper kills
        # what is left, as soon as the pipe is closed.
        if not self.lives and (self._stolen or self._process.returncode is not None):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    async def _until(self, end: float) -> None:
        pause = 0.001
        while self.lives and time.monotonic() < end:
            await asyncio.sleep(pause)
            pause = min(pause * 2, 0.05)

    def _close(self) -> None:
        if self._streams is not None:
            self._streams[1].transport.abort()
        self._end.close()
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1


def _memory_of(pid: int) -> int:
    """Bytes that a process and its children have written to; 0 where the system does not say."""
    total, waiting = 0, [pid]
    while waiting:
        one = waiting.pop()
        with contextlib.suppress(OSError):  # it has just ended
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1]) * 1024
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                waiting += map(int, children.read_text().split())
    return total
