"""What a task costs: CPU of worker and server, and what is written ahead."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bench.database import NewDatabase
from bench.figures import Figures
from bench.passage import pass_through

PER = 10_000
#: What becomes of completed tasks, by the settings that say so.
_KEPT: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {"archived": {}, "not kept": {"CELERS_RETENTION_COMPLETED": "0s"}}
)


def cost(new_database: NewDatabase, tasks: int) -> Figures:
    """From the claim to the settle; without what it takes a worker to start and to stop."""
    figures: dict[str, float] = {}
    for name, settings in _KEPT.items():
        with new_database() as database:
            passage = pass_through(database, tasks, settings=settings, archived=not settings)
        worker, server = passage.worker_cpu / 1e6 * PER, passage.server_cpu / 1e6 * PER
        figures |= {
            f"{name}, worker CPU per 10,000": worker,
            f"{name}, server CPU per 10,000": server,
            f"{name}, CPU per 10,000": worker + server,
        }
        if passage.written is not None:
            figures[f"{name}, WAL"] = passage.written
    return figures
