"""What systemd is told, by a socket that stands for its own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from celers_worker.core.pulse import Beat, Pulse, status_line
from celers_worker.observe.notify import Notifier
from tests.observe.listening import Systemd, systemd

WELL = Pulse(worker="w", pid=1, state="running", running=3, concurrency=10, ended=70)


@pytest.fixture(params=["file", "abstract"])
def listening(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    with systemd(tmp_path if request.param == "file" else None) as found:
        yield found


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the tests make, of which each makes some."""
    made: list[Notifier] = []
    make = Notifier.__init__

    def remembered(self: Notifier, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(Notifier, "__init__", remembered)
    yield
    for notifier in made:
        notifier.close()


def test_it_is_ready_once_and_pings_only_while_all_is_alive(listening: Systemd) -> None:
    notifier = Notifier(listening.address, watchdog=30)
    notifier.beat([WELL], alive=True, ready=False)
    notifier.beat([WELL], alive=True, ready=True)
    notifier.beat([WELL], alive=False, ready=True)
    notifier.beat([WELL], alive=True, ready=False)

    first, second, third, fourth = listening.heard
    assert "READY" not in first
    assert first["EXTEND_TIMEOUT_USEC"] == "60000000"
    assert (second["READY"], second["WATCHDOG"]) == ("1", "1")
    assert third == {"STATUS": "3 of 10 running, 70 ended"}
    assert fourth == {**third, "WATCHDOG": "1"}


def test_without_a_watchdog_it_does_not_ping(listening: Systemd) -> None:
    Notifier(listening.address).beat([WELL], alive=True, ready=True)
    assert listening.of("READY") == ["1"]
    assert listening.of("WATCHDOG") == []


def test_a_reload_begins_with_the_time_and_ends_with_ready(listening: Systemd) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000
    notifier = Notifier(listening.address)
    notifier.reloading()
    notifier.reloaded()
    notifier.reloaded()
    begun, ended = listening.heard
    assert begun["RELOADING"] == "1"
    assert before <= int(begun["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    assert ended == {"READY": "1"}


def test_one_that_stops_is_never_ready_again(listening: Systemd) -> None:
    notifier = Notifier(listening.address)
    notifier.reloading()
    notifier.stopping()
    notifier.stopping()
    notifier.reloaded()
    notifier.beat([WELL], alive=True, ready=True)
    assert listening.of("STOPPING") == ["1"]
    assert listening.of("READY") == []


def test_what_systemd_asks_for_is_taken_out_of_the_environment(
    listening: Systemd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
    monkeypatch.setenv("WATCHDOG_USEC", "1500000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier.inherited()
    assert notifier is not None
    assert notifier.interval == 0.5
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"} & os.environ.keys()
    assert Notifier.inherited() is None


@pytest.mark.parametrize(("usec", "process"), [("0", ""), ("soon", ""), ("", ""), ("9", "1")])
def test_a_watchdog_that_is_off_broken_or_another_processs_gets_no_pings(
    listening: Systemd, monkeypatch: pytest.MonkeyPatch, usec: str, process: str
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listening.address)
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", process)
    notifier = Notifier.inherited()
    assert notifier is not None
    notifier.beat([WELL], alive=True, ready=True)
    assert listening.of("WATCHDOG") == []


@pytest.mark.parametrize("address", ["", "relative", "vsock:1:2"])
def test_an_address_that_is_none_is_ignored(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    assert Notifier.inherited() is None


def test_nobody_who_listens_stops_nothing(tmp_path: Path) -> None:
    notifier = Notifier(str(tmp_path / "nobody"), watchdog=1)
    notifier.beat([WELL], alive=True, ready=True)
    notifier.stopping()


def test_the_status_is_one_line_with_what_is_wrong_first() -> None:
    ill = Pulse(
        worker="other",
        pid=2,
        state="running",
        problems=["the database\ndoes not answer"],
        loops=[Beat("poller", 99.0, stuck=True)],
        backlog=7,
        lease_left=3.4,
        database_latency=0.0123,
    )
    assert status_line([WELL, ill]) == (
        "other: poller is stuck; other: the database\ndoes not answer; 3 of 10 running, 70 ended, "
        "7 outcomes to write, database answers in 12 ms, lease ends in 3 s"
    )
    with systemd() as listening:
        Notifier(listening.address).beat([WELL, ill], alive=True, ready=True)
        assert "the database does not answer" in listening.of("STATUS")[0]
