"""Overview: how a supervisor and all its processes are seen, by probes and systemd, as one."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import msgspec

from celers_worker import link
from celers_worker.config import Config
from celers_worker.core.events import Events
from celers_worker.core.pulse import Beat, Pulse
from celers_worker.observe.combined import CombinedMetrics
from celers_worker.observe.notify import Notifier
from celers_worker.observe.pages import Pages, serving

#: A process that works says so every second. One that is silent for so long is stuck.
_SILENCE = 10.0
#: How long its processes may take to read their configuration again, in seconds.
_RELOAD = 10.0


class Overview:
    """What is known of each process, by its place."""

    def __init__(self, config: Config, events: Events, notifier: Notifier | None) -> None:
        self._config = config
        self._notifier = notifier
        self._pulses: dict[int, tuple[Pulse, float]] = {}
        self._decoder = msgspec.json.Decoder(Pulse)
        self._metrics = CombinedMetrics(events) if config.metrics.port is not None else None
        self._reloading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()

    def heard(self, place: int, kind: bytes, body: bytes) -> None:
        """A process has said something."""
        if kind == link.PULSE:
            self._pulses[place] = self._decoder.decode(body), time.monotonic()
            self._news.set()
        elif kind == link.COUNTS and self._metrics is not None:
            self._metrics.combined.update(place, body)

    def gone(self, place: int) -> None:
        """A process has ended."""
        self._pulses.pop(place, None)
        if self._metrics is not None:
            self._metrics.combined.bury(place)

    def pulses(self) -> list[Pulse]:
        """The pulse of each process that there should be."""
        return [self._pulse(place + 1) for place in range(self._config.worker.processes)]

    @contextlib.asynccontextmanager
    async def shown(self) -> AsyncIterator[None]:
        """The block in which the processes run. Raises ConfigurationError as Pages' server does."""
        async with contextlib.AsyncExitStack() as stack:
            if self._metrics is not None:
                pages = Pages(self._metrics.registry, self.pulses)
                await stack.enter_async_context(serving(self._config.metrics, pages))
            if self._notifier is not None:
                beating = asyncio.create_task(self._beat(self._notifier))
                stack.callback(self._notifier.close)
                stack.callback(beating.cancel)
            yield

    def reloading(self) -> None:
        """The processes were told to read their configuration again: say when they have."""
        if self._notifier is not None and (self._reloading is None or self._reloading.done()):
            self._reloading = asyncio.create_task(self._await_reload(self._notifier))

    def stopping(self) -> None:
        """All processes were told to end."""
        if self._notifier is not None:
            self._notifier.stopping()

    # --- inside ---

    def _pulse(self, place: int) -> Pulse:
        name = self._config.of_process(place).worker.name
        pulse, heard_at = self._pulses.get(place, (None, 0.0))
        if pulse is None:
            return Pulse(worker=name, pid=0, state="starting", problems=["it has not started"])
        silent = time.monotonic() - heard_at
        if silent <= _SILENCE:
            return pulse
        process = Beat("process", round(silent, 3), stuck=True)
        return msgspec.structs.replace(pulse, loops=[process], problems=["it says nothing"])

    async def _beat(self, notifier: Notifier) -> None:
        while True:
            pulses = self.pulses()
            notifier.beat(
                pulses,
                alive=all(pulse.alive for pulse in pulses),
                ready=all(pulse.ready for pulse in pulses),
            )
            await asyncio.sleep(notifier.interval)

    async def _await_reload(self, notifier: Notifier) -> None:
        notifier.reloading()
        before = {place: pulse.reloads for place, (pulse, _) in self._pulses.items()}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELOAD):
                while any(
                    place in self._pulses and self._pulses[place][0].reloads == count
                    for place, count in before.items()
                ):
                    self._news.clear()
                    await self._news.wait()
        notifier.reloaded()
