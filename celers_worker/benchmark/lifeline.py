"""The input of a process that must not outlive who started it: an order, then only its end."""

from __future__ import annotations

import os
import signal
import sys


def first_line() -> bytes:
    """Read the order, which may hold a password, so that it is no argument."""
    # Without a buffer: a thread that waits in one when the interpreter ends is a fatal error.
    line = bytearray()
    while not line.endswith(b"\n") and (data := os.read(sys.stdin.fileno(), 65_536)):
        line += data
    return bytes(line)


def end_with_input() -> None:
    """Send this process SIGTERM when the input ends; for a thread."""
    while os.read(sys.stdin.fileno(), 1_024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
