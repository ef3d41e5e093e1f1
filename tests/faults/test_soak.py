"""Everything at once, at random: what no scenario has thought of."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from tests.e2e.project import WorkerProcess
from tests.faults.conftest import Scale
from tests.faults.proxy import Proxy
from tests.faults.server import database_of, end_sessions, frozen, read_only
from tests.faults.stage import LEASE, Stage
from tests.faults.test_outages import work_goes_on
from tests.faults.test_storms import SEED, load, pause
from tests.servers import PrivateServer

pytestmark = [pytest.mark.timeout(2_000), pytest.mark.xdist_group("soak")]


@dataclass
class Weather:
    """What may happen to the workers of a stage, to their network and to their server."""

    stage: Stage
    server: PrivateServer
    proxy: Proxy
    chance: random.Random
    workers: list[WorkerProcess]

    def worker_killed(self) -> None:
        victim = self.chance.choice(self.workers)
        victim.process.kill()
        self.workers[self.workers.index(victim)] = self.hire()

    def worker_stopped(self) -> None:
        victim = self.chance.choice(self.workers)
        victim.process.send_signal(signal.SIGTERM)
        self.workers[self.workers.index(victim)] = self.hire()

    def worker_frozen(self) -> None:
        victim = self.chance.choice(self.workers)
        self.stage.hold(victim)
        pause(self.chance.uniform(0.2, 1.5) * LEASE)
        victim.process.send_signal(signal.SIGCONT)

    def server_killed(self) -> None:
        self.server.kill()
        pause(self.chance.uniform(0.0, 1.0))
        self.server.start()
        self.stage.direct.engine.dispose()

    def server_frozen(self) -> None:
        with frozen(self.server):
            pause(self.chance.uniform(0.5, 5.0))

    def server_read_only(self) -> None:
        with read_only(self.server):
            pause(self.chance.uniform(0.2, 2.0))

    def sessions_ended(self) -> None:
        end_sessions(self.server, self.stage.url)
        self.stage.direct.engine.dispose()

    def network_reset(self) -> None:
        self.proxy.mode("reset")
        self.proxy.mode("pass")

    def network_gone(self) -> None:
        self.proxy.mode(self.chance.choice(["black_hole", "half_open", "silent"]))
        pause(self.chance.uniform(0.5, 5.0))
        self.proxy.mode("pass")

    def answer_lost(self) -> None:
        self.proxy.mode("drop_reply", nth=self.chance.randrange(1, 5))

    def hire(self) -> WorkerProcess:
        return self.stage.hire("--concurrency", "10")

    @property
    def events(self) -> list[Callable[[], None]]:
        return [
            *(self.worker_killed, self.worker_stopped, self.worker_frozen),
            *(self.server_killed, self.server_frozen, self.server_read_only),
            *(self.sessions_ended, self.network_reset, self.network_gone, self.answer_lost),
        ]


def test_whatever_comes_after_whatever_nothing_is_lost(
    stage: Stage, private_server: PrivateServer, scale: Scale
) -> None:
    chance = random.Random(f"{SEED} {stage.database}")
    with Proxy("127.0.0.1", private_server.port) as proxy:
        name = urlsplit(stage.url).path.lstrip("/")
        stage.address = database_of(private_server, name, proxy.port)
        weather = Weather(stage, private_server, proxy, chance, [])
        weather.workers = [weather.hire() for _ in range(2)]
        producer = stage.producer(batches=100_000, size=scale(3, 10))
        for _ in range(scale(1, 20)):
            load(stage, scale(60, 1_000))
            for event in chance.sample(weather.events, scale(6, len(weather.events))):
                event()
                name = event.__name__.replace("_", " ")
                stage.board.injected(f"at random: {name}", stage.database)
                pause(chance.uniform(0.0, 1.0))
            proxy.mode("pass")
            work_goes_on(stage)
        producer.kill()
        producer.wait(20)
        stage.settle_up()
