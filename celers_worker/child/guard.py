"""Guard: nothing of this process outlives its worker, however that or this one dies.

Imports nothing of the application, and little at all: a copy of this process stays as its keeper.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
#: Handlers that close every small descriptor leave what is ours.
_HIGH = 200


def out_of_reach(descriptor: int) -> int:
    """Move *descriptor* to where nobody closes it by mistake; it is not inherited."""
    try:
        moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _HIGH)
    except OSError:  # there are so few: 64, say
        os.set_inheritable(descriptor, False)
        return descriptor
    os.close(descriptor)
    return moved


def killed_with(parent: int) -> None:
    """Have the kernel kill this process, also a frozen one, when *parent* ends; only Linux does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked
        os._exit(1)


def die_with(worker: int, pipe: int) -> None:
    """End with the process *worker*, which holds the other end of *pipe*.

    The kernel kills this process. What it has started is killed by a keeper, a copy of this process
    in the same group: it waits for the end of the pipe, and no handler can keep it from that.
    """
    killed_with(worker)
    between = os.fork()
    if between == 0:
        # Nobody's child but init's: a handler that waits for all its children would wait for it.
        if os.fork() == 0:
            _keep(pipe)
        os._exit(0)
    os.waitpid(between, 0)
    os.close(pipe)


def _keep(pipe: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nothing, standard)
    pipe = os.dup2(pipe, 3, inheritable=False) if pipe != 3 else pipe
    os.closerange(4, 1024)
    while os.read(pipe, 1):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(0, signal.SIGKILL)
    os._exit(0)
