"""How far a run is, as its handler says."""

from __future__ import annotations

import math
from dataclasses import dataclass

from celers_worker.core.errors import PayloadError
from celers_worker.core.payload import check_text

MESSAGE_LIMIT = 255
#: Progress of a run is told on so often at most, in seconds.
PAUSE = 1.0


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of ``total`` is done; without a total nobody knows how much there is."""

    done: float
    total: float | None = None
    message: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("done", self.done), ("total", self.total)):
            if value is not None and not (math.isfinite(value) and value >= 0):
                raise PayloadError(f"{name} is {value!r}: progress is a number from 0.")
        if self.message is not None:
            check_text(self.message, "message")
            object.__setattr__(self, "message", self.message[:MESSAGE_LIMIT])

    @property
    def is_all(self) -> bool:
        """Whether nothing is left to do."""
        return self.total is not None and self.done >= self.total

    def is_due(self, told_at: float, now: float) -> bool:
        """Whether to tell it on *now*, when the last was told at *told_at*, in seconds."""
        return now - told_at >= PAUSE or self.is_all

    def __str__(self) -> str:
        share = f" ({self.done / self.total:.0%})" if self.total else ""
        amount = f"{self.done:g}" if self.total is None else f"{self.done:g}/{self.total:g}{share}"
        return f"{amount} {self.message}" if self.message else amount
