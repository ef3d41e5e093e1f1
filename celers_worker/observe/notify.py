"""What systemd is told, by its socket: that the worker is ready, well, reloading or stopping."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Sequence
from typing import Self

from celers_worker.core.pulse import Pulse, status_line

SOCKET, WATCHDOG, WATCHDOG_PROCESS = "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"
#: How long systemd waits for the next word of one that is not ready yet, in microseconds.
_PATIENCE = 60_000_000


class Notifier:
    """Tells systemd. That nobody listens stops nothing."""

    def __init__(self, address: str, *, watchdog: float | None = None) -> None:
        """*watchdog*: systemd ends a service that is silent for so long, in seconds."""
        # A name that begins with @ has no file.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._watched = watchdog is not None
        self.interval = 1.0 if watchdog is None else min(watchdog / 3, 1.0)
        """How often ``beat`` should be called, in seconds."""
        self._ready = self._reloading = self._stopping = False

    @classmethod
    def inherited(cls) -> Self | None:
        """The one that systemd asked this process for; None: it did not.

        The request is taken out of the environment: what this process starts must not answer it.
        """
        address = os.environ.pop(SOCKET, "")
        microseconds = os.environ.pop(WATCHDOG, "")
        process = os.environ.pop(WATCHDOG_PROCESS, "")
        if not address.startswith(("/", "@")):
            return None
        watched = microseconds.isdigit() and int(microseconds) > 0
        watched = watched and process in ("", str(os.getpid()))
        return cls(address, watchdog=int(microseconds) / 1e6 if watched else None)

    def beat(self, pulses: Sequence[Pulse], *, alive: bool, ready: bool) -> None:
        """Say how it is going. READY once all was *ready*; WATCHDOG only while all is *alive*."""
        lines = [f"STATUS={status_line(pulses)}"]
        if ready and not self._ready and not self._stopping:
            self._ready = True
            lines.append("READY=1")
        if alive and self._watched:
            lines.append("WATCHDOG=1")
        if alive and not self._ready and any(pulse.pid for pulse in pulses):
            # It waits for its database. One whose application hangs says nothing.
            lines.append(f"EXTEND_TIMEOUT_USEC={_PATIENCE}")
        self._send(*lines)

    def reloading(self) -> None:
        """The configuration is being read again; ``reloaded`` must follow."""
        self._reloading = True
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def reloaded(self) -> None:
        """The configuration has been read, or refused."""
        if self._reloading and not self._stopping:
            self._reloading = False
            self._send("READY=1")

    def stopping(self) -> None:
        """It claims no more."""
        if not self._stopping:
            self._stopping = True
            self._send("STOPPING=1")

    def close(self) -> None:
        """Say no more."""
        self._socket.close()

    def _send(self, *lines: str) -> None:
        text = "\n".join(line.replace("\n", " ") for line in lines)
        with contextlib.suppress(OSError):
            self._socket.sendto(text.encode(errors="replace"), self._address)
