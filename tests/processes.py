"""Processes that cannot outlive the tests, and the end of a whole tree of them. Linux only."""

import os
import pwd
import shutil
import signal
import subprocess
from pathlib import Path

from tests.waiting import eventually_sync

_KILL_SECONDS = 20.0


def guarded(command: list[str]) -> list[str]:
    """The command, made to die with the thread that starts it, and run as nobody if we are root."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise RuntimeError("setpriv is not installed: it comes with util-linux")
    identity = []
    if os.geteuid() == 0:
        user, group = unprivileged_user()
        identity = [f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    # setpriv asks for the signal last: a change of user would have cancelled it.
    return [setpriv, *identity, "--pdeathsig=KILL", "--", *command]


def unprivileged_user() -> tuple[int, int]:
    """User and group for the servers started by root, which none of them accepts."""
    nobody = pwd.getpwnam("nobody")
    return nobody.pw_uid, nobody.pw_gid


def kill_tree(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL our process with its children, and return when none of them is left."""
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGSTOP)  # it must not fork while we list its children
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
    # A process group would not do: each of PostgreSQL's processes leads one of its own.
    tree = [*children(process.pid), process.pid]
    for member in tree:
        os.kill(member, signal.SIGKILL)
    process.wait(_KILL_SECONDS)
    eventually_sync(lambda: not any(map(_is_alive, tree)), within=_KILL_SECONDS)


def children(parent: int) -> list[int]:
    """The processes that *parent* has started and that are left."""
    lists = Path(f"/proc/{parent}/task").glob("*/children")
    return [int(child) for children in lists for child in children.read_text().split()]


def is_stopped(process: int) -> bool:
    """Whether SIGSTOP has reached every thread: until then it may still take a lock."""
    threads = Path(f"/proc/{process}/task").glob("*/stat")
    return all(_state(thread) in "tTZX" for thread in threads)


def _is_alive(process: int) -> bool:
    try:
        state = _state(Path(f"/proc/{process}/stat"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"  # in a container nobody may reap the orphans


def _state(stat: Path) -> str:
    return stat.read_text().rpartition(")")[2].split()[0]
