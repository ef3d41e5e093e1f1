"""The pulse of a worker: what it says of itself, to systemd, probes, gauges and its supervisor.

A worker is *alive* while every one of its loops moves, and *ready* while it can take tasks. A
database that is away makes it unready, not dead: a restart would not mend that.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Beat(msgspec.Struct, frozen=True):
    """One loop: ``age`` is the time since it last did its work, in seconds."""

    loop: str
    age: float
    stuck: bool = False


class Permit(msgspec.Struct, frozen=True):
    """Room for running tasks: of a worker (``total``), of a ``queue``, of a ``handler``."""

    tier: str
    name: str
    in_use: int
    limit: int


class Pool(msgspec.Struct, frozen=True):
    """Connections to the database: open ones, those at work, and how many there may be."""

    open: int
    in_use: int
    limit: int


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """One worker process at one moment; durations are in seconds, None is not known yet.

    ``problems``: why it takes no tasks. ``backlog``: outcomes that are not written yet, the oldest
    for ``settle_lag``. ``reloads``: how often it was told to read its configuration again.
    """

    worker: str
    pid: int
    state: str
    problems: Sequence[str] = ()
    loops: Sequence[Beat] = ()
    running: int = 0
    ended: int = 0
    concurrency: int = 0
    permits: Sequence[Permit] = ()
    backlog: int = 0
    settle_lag: float = 0.0
    lease_left: float | None = None
    database_latency: float | None = None
    pool: Pool | None = None
    memory: int = 0
    reloads: int = 0

    @property
    def alive(self) -> bool:
        """Whether every loop moves."""
        return not self.stuck

    @property
    def ready(self) -> bool:
        """Whether it takes tasks."""
        return not self.problems

    @property
    def stuck(self) -> list[str]:
        """The loops that stand still."""
        return [beat.loop for beat in self.loops if beat.stuck]


def status_line(pulses: Sequence[Pulse]) -> str:
    """What ``systemctl status`` shows of one or several processes, in a line."""
    running = sum(pulse.running for pulse in pulses)
    room = sum(pulse.concurrency for pulse in pulses)
    ended = sum(pulse.ended for pulse in pulses)
    parts = [f"{running} of {room} running", f"{ended} ended"]
    if backlog := sum(pulse.backlog for pulse in pulses):
        parts.append(f"{backlog} outcomes to write")
    if answers := [each.database_latency for each in pulses if each.database_latency is not None]:
        parts.append(f"database answers in {1_000 * max(answers):.0f} ms")
    if leases := [each.lease_left for each in pulses if each.lease_left is not None]:
        parts.append(f"lease ends in {max(min(leases), 0):.0f} s")
    problems = [
        f"{each.worker}: {text}" if len(pulses) > 1 else text
        for each in pulses
        for text in (*(f"{loop} is stuck" for loop in each.stuck), *each.problems)
    ]
    return "; ".join([*problems, ", ".join(parts)])
