"""The socket to the worker, read by a thread: a run can be stopped while its handler computes."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from queue import SimpleQueue
from uuid import UUID

import msgspec

from celers_worker.core import wire
from celers_worker.core.errors import CelersError, PayloadError
from celers_worker.core.task import NewTask


class Running:
    """A run in this process, and how the other thread stops it."""

    def __init__(self, start: wire.Start) -> None:
        self.start = start
        self._lock = threading.Lock()
        self._told: wire.Stop | None = None
        self._on_stop: Callable[[wire.Stop], None] | None = None

    def on_stop(self, callback: Callable[[wire.Stop], None]) -> None:
        """Call *callback* when the worker says so; at once if it has."""
        with self._lock:
            self._on_stop, told = callback, self._told
        if told is not None:
            callback(told)

    def stop(self, message: wire.Stop) -> None:
        """Tell the run to end."""
        with self._lock:
            self._told, callback = message, self._on_stop
        if callback is not None:
            callback(message)


class Connection:
    """Says what there is to say, and gives the runs one after the other."""

    def __init__(self, end: socket.socket) -> None:
        self.setup: wire.Setup
        self._end = end
        self._sending = threading.Lock()
        self._starts: SimpleQueue[Running | None] = SimpleQueue()
        self._running: Running | None = None
        self._asked: dict[int, Future[Sequence[UUID]]] = {}
        self._number = 0

    def open(self) -> bool:
        """Read what is said first; False: the worker is gone, or needs us no more."""
        message = self._read()
        if not isinstance(message, wire.Setup):
            return False
        self.setup = message
        threading.Thread(target=self._listen, name="celers-connection", daemon=True).start()
        return True

    def runs(self) -> Iterator[Running]:
        """The runs, until the worker ends the connection."""
        while (running := self._starts.get()) is not None:
            yield running

    def send(self, message: wire.ToWorker) -> None:
        """Say *message*; when the worker is gone, nobody needs it."""
        if not isinstance(message, wire.Begun | wire.Told | wire.Wrote | wire.Ask):
            self._running = None
        data = wire.framed(message)
        with self._sending:
            self._end.sendall(data)

    def ask(self, tasks: Sequence[NewTask]) -> Future[Sequence[UUID]]:
        """Have the worker add *tasks*. The future raises CelersError if it could not."""
        future: Future[Sequence[UUID]] = Future()
        self._number += 1
        self._asked[self._number] = future
        try:
            self.send(wire.Ask(self._number, tasks))
        except msgspec.MsgspecError as error:
            raise PayloadError(f"these tasks cannot be enqueued together: {error}.") from None
        return future

    # --- the thread ---

    def _listen(self) -> None:
        while (message := self._read()) is not None:
            match message:
                case wire.Start():
                    self._running = Running(message)
                    self._starts.put(self._running)
                case wire.Stop():
                    if (running := self._running) is not None:
                        running.stop(message)
                case wire.Answer():
                    self._answered(message)
        if self._running is not None:
            # The worker died, or was told to: what runs here is not its task's run any more.
            os.killpg(0, signal.SIGKILL)
        self._starts.put(None)

    def _answered(self, answer: wire.Answer) -> None:
        future = self._asked.pop(answer.number, None)
        if future is None or not future.set_running_or_notify_cancel():
            return  # the handler has not waited for it
        if answer.error is None:
            future.set_result(answer.ids)
        else:
            future.set_exception(CelersError(answer.error))

    def _read(self) -> wire.ToProcess | None:
        header = self._exactly(wire.LENGTH.size)
        if header is None:
            return None
        body = self._exactly(wire.LENGTH.unpack(header)[0])
        return None if body is None else wire.said_by_worker(body)

    def _exactly(self, length: int) -> bytes | None:
        data = bytearray()
        while len(data) < length:
            try:
                received = self._end.recv(min(length - len(data), 1 << 20))
            except OSError:
                return None
            if not received:
                return None
            data += received
        return bytes(data)
