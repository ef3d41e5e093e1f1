"""The zoo: handlers that do to their worker what no handler should."""

from __future__ import annotations

import asyncio
import ctypes
import locale
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from celers_worker import Celers, Context, backoff
from tests.e2e.handlers import note, noted

app = Celers()
_SOON = backoff.fixed("50ms")
once = app.defaults(max_retries=0)
#: Threads and tasks that outlive their run; a list, so that nobody collects them.
LEFT: list[object] = []


@app.task(backoff=_SOON)
async def good(context: Context, seconds: float = 0.01) -> int:
    with noted(context):
        await asyncio.sleep(seconds)
    return context.attempt


@app.task(backoff=_SOON)
def good_in_thread(context: Context) -> int:
    with noted(context):
        return context.attempt


@app.task(backoff=_SOON, runs="process")
def good_in_process(number: int) -> int:
    return number


# --- raising ---


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise SystemExit("no words")

    __repr__ = __str__


RAISED = {
    "broken __str__": lambda: Unspeakable(),
    "a message of 50 MB": lambda: ValueError("x" * 50_000_000),
    "SystemExit": lambda: SystemExit(3),
    "KeyboardInterrupt": lambda: KeyboardInterrupt(),
    "GeneratorExit": lambda: GeneratorExit(),
    "CancelledError": lambda: asyncio.CancelledError(),
    "BaseExceptionGroup": lambda: BaseExceptionGroup("two", [SystemExit(), KeyboardInterrupt()]),
    "MemoryError": lambda: MemoryError(),
    "NUL and surrogates": lambda: ValueError("\0\ud800"),
}


@once.task()
async def raises(what: str, context: Context) -> None:
    note("start", context)
    raise RAISED[what]()


@once.task()
def raises_in_thread(what: str, context: Context) -> None:
    note("start", context)
    raise RAISED[what]()


@once.task(runs="process")
def raises_in_process(what: str) -> None:
    raise RAISED[what]()


# --- returning ---


def _numbers() -> Iterator[int]:
    yield 1


async def _more_numbers() -> AsyncIterator[int]:
    yield 1


RETURNED = {
    "20 MB": lambda: "x" * 20_000_000,
    "object()": lambda: object(),
    "a generator": lambda: _numbers(),
    "an asynchronous generator": lambda: _more_numbers(),
    "a coroutine": lambda: asyncio.sleep(0),
    "NaN": lambda: float("nan"),
    "itself": lambda: _circle(),
    "a surrogate": lambda: "\ud800",
}


def _circle() -> list[object]:
    circle: list[object] = []
    circle.append(circle)
    return circle


@app.task(backoff=_SOON)
async def returns(what: str, context: Context) -> object:
    note("start", context)
    return RETURNED[what]()


@app.task(backoff=_SOON)
def returns_in_thread(what: str, context: Context) -> object:
    note("start", context)
    return RETURNED[what]()


@app.task(backoff=_SOON, runs="process")
def returns_in_process(what: str) -> object:
    return RETURNED[what]()


# --- changing the process ---


def _close_nothing() -> None:
    """A daemon thread that never ends."""
    thread = threading.Thread(target=time.sleep, args=(3600,), daemon=True)
    thread.start()
    LEFT.append(thread)


def _change_clock() -> None:
    os.environ["TZ"] = "America/Sao_Paulo"
    time.tzset()


def _ignore_signals() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_IGN)


def _fork_and_come_back() -> None:
    os.fork()


def _exhaust_memory() -> None:
    """All that the process may have is taken, and then given back by the exception."""
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    used = next(
        int(line.split()[1]) * 1024
        for line in Path("/proc/self/status").read_text().splitlines()
        if line.startswith("VmData")
    )
    resource.setrlimit(resource.RLIMIT_DATA, (used + 64_000_000, hard))
    held: list[bytearray] = []
    try:
        while True:
            held.append(bytearray(4_000_000))
    finally:
        held.clear()
        resource.setrlimit(resource.RLIMIT_DATA, (resource.RLIM_INFINITY, hard))


CHANGED = {
    "daemon threads": _close_nothing,
    "directory": lambda: os.chdir("/"),
    "umask": lambda: os.umask(0o777),
    "signal handlers": _ignore_signals,
    "locale": lambda: locale.setlocale(locale.LC_ALL, "C"),
    "time zone": _change_clock,
    "logging": lambda: logging.disable(),
    "event loop policy": lambda: asyncio.set_event_loop_policy(None),
    "memory": _exhaust_memory,
    "fork": _fork_and_come_back,
    "the GIL, for a second": lambda: ctypes.PyDLL(None).sleep(1),
}


@once.task()
async def changes(what: str, context: Context) -> str:
    pid = os.getpid()
    CHANGED[what]()
    await asyncio.sleep(0)
    assert os.getpid() == pid, "the copy of a process came back from the loop"
    note("start", context)
    return what


@once.task()
def changes_in_thread(what: str, context: Context) -> str:
    pid = os.getpid()
    CHANGED[what]()
    if os.getpid() == pid:
        note("start", context)
    return what


# --- not ending ---


@once.task(timeout="500ms")
async def swallows_cancellation(context: Context) -> None:
    note("start", context)
    while True:
        try:
            await asyncio.sleep(3600)
        except BaseException:
            continue


@once.task(timeout="500ms")
def sleeps_in_thread(context: Context) -> None:
    note("start", context)
    time.sleep(3600)


@once.task(timeout="500ms", runs="process")
def sleeps_in_process() -> None:
    while True:
        try:
            ctypes.PyDLL(None).sleep(3600)
        except BaseException:
            continue


@app.task(backoff=_SOON)
async def blocks_the_loop(seconds: float, context: Context) -> int:
    with noted(context):
        time.sleep(seconds)  # noqa: ASYNC251  # what this is about
    return context.attempt


@app.task(backoff=_SOON)
async def holds_the_lock_at_first(seconds: int, context: Context) -> int:
    with noted(context):
        if context.attempt == 1:
            ctypes.PyDLL(None).sleep(seconds)
    return context.attempt


# --- ending the process ---

DEADLY = {
    "kill -9": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "os._exit": lambda: os._exit(0),
    "a segmentation fault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "closed descriptors": lambda: os.closerange(0, 51),
}


@once.task()
async def ends_its_process(how: str, context: Context) -> None:
    note("start", context)
    DEADLY[how]()


@app.task(max_retries=50)
async def poison(context: Context) -> None:
    note("start", context)
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(max_retries=50)
async def never_gives_the_loop_back(context: Context) -> None:
    note("start", context)
    time.sleep(3600)  # noqa: ASYNC251  # it blocks the loop: that is what is tested
