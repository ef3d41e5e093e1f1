"""What is served over HTTP: /metrics, /live, /ready and /health, of one process or of several."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from celers_worker.config import MetricsSettings
from celers_worker.core.pulse import Pulse
from celers_worker.observe.gauges import PulseGauges
from celers_worker.observe.http import Answer, HttpServer

_INDEX = b"/metrics /live /ready /health\n"


class Pages:
    """Answers by path. *pulses*: of every process that there should be."""

    def __init__(self, registry: CollectorRegistry, pulses: Callable[[], Sequence[Pulse]]) -> None:
        self._registry = registry
        self._pulses = pulses
        self._gauges = PulseGauges()
        registry.register(self._gauges)
        self._rendering: asyncio.Task[bytes] | None = None

    async def answer(self, path: str) -> Answer:
        """The page at *path*."""
        match path:
            case "/metrics":
                return Answer(200, await self._metrics(), CONTENT_TYPE_LATEST)
            case "/live":
                return self._verdict(lambda pulse: [f"{loop} is stuck" for loop in pulse.stuck])
            case "/ready":
                return self._verdict(lambda pulse: list(pulse.problems))
            case "/health":
                return self._health()
            case "/":
                return Answer(200, _INDEX)
        return Answer(404, _INDEX)

    async def _metrics(self) -> bytes:
        # Not on the loop, which may have much else to do; and once for all who ask meanwhile.
        if self._rendering is None:
            self._gauges.pulses = self._pulses()
            self._rendering = asyncio.create_task(
                asyncio.to_thread(generate_latest, self._registry)
            )
            self._rendering.add_done_callback(self._rendered)
        return await asyncio.shield(self._rendering)

    def _rendered(self, task: asyncio.Task[bytes]) -> None:
        self._rendering = None

    def _verdict(self, problems: Callable[[Pulse], list[str]]) -> Answer:
        found = [
            f"{pulse.worker}: {problem}" for pulse in self._pulses() for problem in problems(pulse)
        ]
        return Answer(503 if found else 200, ("\n".join(found) or "ok").encode() + b"\n")

    def _health(self) -> Answer:
        pulses = self._pulses()
        alive = all(pulse.alive for pulse in pulses)
        ready = all(pulse.ready for pulse in pulses)
        document = {
            "alive": alive,
            "ready": ready,
            "processes": [
                {"alive": pulse.alive, "ready": pulse.ready, **msgspec.to_builtins(pulse)}
                for pulse in pulses
            ],
        }
        body = msgspec.json.format(msgspec.json.encode(document), indent=2)
        return Answer(200 if alive and ready else 503, body + b"\n", "application/json")


@asynccontextmanager
async def serving(settings: MetricsSettings, pages: Pages) -> AsyncIterator[int]:
    """A block in which *pages* are served; yields the port. Raises ConfigurationError."""
    assert settings.port is not None, "it is served where there is a port"
    server = HttpServer(pages.answer)
    await server.start(settings.host, settings.port)
    try:
        yield server.port
    finally:
        await server.close()
