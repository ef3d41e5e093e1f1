"""What every setting is and when to change it, for ``celers check`` and config/celers.toml."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions import (
    database,
    executor,
    keeping,
    named,
    observing,
    schedules,
    worker,
)
from celers_worker.config.descriptions.description import Description as Description

DESCRIPTIONS: Mapping[str, Description] = {
    **database.DESCRIPTIONS,
    **worker.DESCRIPTIONS,
    **executor.DESCRIPTIONS,
    **named.DESCRIPTIONS,
    **schedules.DESCRIPTIONS,
    **keeping.DESCRIPTIONS,
    **observing.DESCRIPTIONS,
}
