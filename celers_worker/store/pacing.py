"""Pacing: how far apart the looks of an idle worker are, where the database does not tell."""

from __future__ import annotations

import random

#: The pauses grow by this while nothing comes.
_FACTOR = 2.0
#: So much of a pause is left to chance, so that workers that started together part.
_JITTER = 0.1


class Pacing:
    """Pauses that grow while nothing comes, up to *longest* seconds; 0: they do not grow."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._factor = 1.0

    def came(self) -> None:
        """Something came: look soon again."""
        self._factor = 1.0

    def pause(self, shortest: float) -> float:
        """Until the next look, in seconds; *shortest* is the pause of one that is not idle."""
        if self._longest <= shortest:
            return shortest
        pause = min(shortest * self._factor, self._longest)
        if pause < self._longest:
            self._factor *= _FACTOR
        return max(pause * random.uniform(1 - _JITTER, 1), shortest)
