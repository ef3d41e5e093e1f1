"""Handlers that run in processes; a process imports this module and finds them here."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from celers_worker import Cancel, Celers, Context, Retry, Snooze, backoff

app = Celers()
_SOON = backoff.immediate()


@dataclass(frozen=True)
class Point:
    x: int
    y: int


class OutOfInk(Exception):
    def __init__(self, left: int) -> None:
        super().__init__(f"{left} left")
        self.left = left


@app.task()
async def beside(number: int) -> int:
    return number


@app.task(runs="process")
def mirrored(point: Point, key: UUID) -> Point:
    assert isinstance(key, UUID)
    return Point(point.y, point.x)


@app.task(runs="process")
async def slept(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


@app.task(runs="process")
def pid() -> int:
    return os.getpid()


@app.task(runs="process", codec="raw")
def reversed_bytes(data: bytes) -> bytes:
    return data[::-1]


@app.task(runs="process", max_retries=0, raises=OutOfInk)
def prints() -> None:
    raise OutOfInk(3)


@app.task(runs="process", dead_on=OutOfInk)
def never_again() -> None:
    raise OutOfInk(0)


@app.task(runs="process")
def steers(how: str) -> None:
    raise {"snooze": Snooze("1h"), "cancel": Cancel("no need"), "retry": Retry(after="2h")}[how]


@app.task(runs="process", max_retries=0)
def ends(how: str) -> None:
    match how:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "segfault":
            ctypes.string_at(0)
        case "exit":
            os._exit(3)
        case "exit 0":
            os._exit(0)
        case "sys.exit":
            sys.exit(5)


@app.task(runs="process", timeout="300ms", max_retries=0)
def deaf(file: str) -> None:
    """Hold the GIL, and leave a child behind."""
    child = subprocess.Popen(["sleep", "300"])
    Path(file).write_text(f"{os.getpid()} {child.pid}")
    ctypes.PyDLL(None).sleep(300)


@app.task(runs="process", memory="256MB", max_retries=0)
def greedy(megabytes: int) -> int:
    return len(bytearray(megabytes * 1_000_000))


@app.task(runs="process", memory="128MB", max_retries=0)
def greedy_by_its_child() -> None:
    """The bound that the kernel keeps is that of one process."""
    code = "data = b'x' * 300_000_000; import time; time.sleep(300)"
    subprocess.run(
        [
            sys.executable,
            "-c",
            f"import resource as r; r.setrlimit(r.RLIMIT_DATA, (r.RLIM_INFINITY,) * 2); {code}",
        ],
        check=False,
    )


@app.task(runs="process")
def environment() -> dict[str, str]:
    return dict(os.environ)


@app.task(runs="process", max_retries=0)
async def enqueues_by_itself() -> None:
    await beside.enqueue(1)


@app.task(runs="process")
def enqueues(context: Context) -> list[str]:
    return [str(one) for one in context.enqueue_sync(beside.call(1), beside.call(2))]


@app.task(runs="process")
async def enqueues_async(context: Context) -> list[str]:
    return [str(one) for one in await context.enqueue(beside.call(3))]


@app.task(runs="process", max_retries=0)
async def asks_for(what: str, context: Context) -> None:
    match what:
        case "transaction":
            async with context.transaction():
                pass
        case "transaction_sync":
            with context.transaction_sync():
                pass
        case "resources":
            _ = context.resources


@app.task(runs="process")
def tells(file: str, context: Context) -> tuple[int, str, str]:
    context.progress_sync(1, 4, "a quarter")
    context.log.warning("it says")
    logging.getLogger("library").warning("so does a library")
    while not Path(file).exists():
        time.sleep(0.01)
    return context.attempt, context.queue, context.idempotency_key


def write(file: str, text: str) -> None:
    Path(file).write_text(text)


@app.task(runs="process", max_retries=0)
async def waits(file: str, context: Context) -> str:
    write(file, str(os.getpid()))
    try:
        await asyncio.sleep(300)
    except asyncio.CancelledError:
        write(file, "cleaned up")
        raise
    return "never"


@app.task(runs="process", soft_timeout="200ms", timeout="60s")
def looks(context: Context) -> str:
    while not context.stopped:
        time.sleep(0.01)
    return "stopped by itself"


@app.task(runs="process", max_retries=0)
def stubborn(file: str) -> None:
    Path(file).write_text(str(os.getpid()))
    while True:
        try:
            time.sleep(300)
        except BaseException:
            continue


SPOILING: dict[str, Callable[[], object]] = {
    "directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o12),
    "environment": lambda: os.environ.update(SPOILT="yes"),
    "signals": lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
    "logging": lambda: logging.disable(),
    "thread": lambda: threading.Thread(target=time.sleep, args=(300,), daemon=True).start(),
    "child": lambda: subprocess.Popen(["sleep", "300"]),
    "descriptors": lambda: os.closerange(0, 51),
    "fork": os.fork,
    "nothing": lambda: None,
}


@app.task(runs="process")
def spoils(how: str) -> int:
    pid = os.getpid()
    SPOILING[how]()
    return pid
