"""A socket that stands for systemd's."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path


class Systemd:
    """What was told to NOTIFY_SOCKET, a dictionary for each message."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.setblocking(False)
        self._heard: list[dict[str, str]] = []

    @property
    def heard(self) -> list[dict[str, str]]:
        """Every message so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                text = self._socket.recv(64 * 1024).decode()
                self._heard.append(dict(line.split("=", 1) for line in text.splitlines()))
        return self._heard

    def of(self, key: str) -> list[str]:
        """The values of *key* so far."""
        return [message[key] for message in self.heard if key in message]

    def forget(self) -> None:
        """What was told until now counts no more."""
        self.heard.clear()

    def close(self) -> None:
        self._socket.close()


@contextlib.contextmanager
def systemd(folder: Path | None = None) -> Iterator[Systemd]:
    """One with a file in *folder*, else one with an abstract name."""
    name = f"celers-{os.getpid()}-{os.urandom(4).hex()}"
    listening = Systemd(f"@{name}" if folder is None else str(folder / "notify"))
    try:
        yield listening
    finally:
        listening.close()
