"""Whether a system of workers is well: what was found, held against limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from celers_worker.core.duration import format_duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """What a probe found; ages in seconds. ``dead`` stops counting just over the limit."""

    workers: int
    backlog_age: float
    backlog_queue: str | None
    dead: int
    upkeep_age: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What is still well; None is not looked at."""

    min_workers: int = 1
    max_backlog_age: timedelta | None = timedelta(minutes=5)
    max_dead: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str
    limit: str


def checks(vitals: Vitals, limits: Limits) -> Iterator[Check]:
    """Hold *vitals* against *limits*."""
    yield Check(
        "workers",
        vitals.workers >= limits.min_workers,
        str(vitals.workers),
        f"at least {limits.min_workers}",
    )
    if limits.max_backlog_age is not None:
        where = f" in {vitals.backlog_queue}" if vitals.backlog_queue else ""
        age = format_duration(timedelta(seconds=round(vitals.backlog_age)))
        yield Check(
            "backlog age",
            vitals.backlog_age <= limits.max_backlog_age.total_seconds(),
            f"{age}{where}",
            f"at most {format_duration(limits.max_backlog_age)}",
        )
    if limits.max_dead is not None:
        more = vitals.dead > limits.max_dead
        yield Check(
            "dead letters",
            not more,
            f"more than {limits.max_dead}" if more else str(vitals.dead),
            f"at most {limits.max_dead}",
        )
