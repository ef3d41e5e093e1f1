"""How many rows to take at a time, so that nobody waits long for their locks. Pure."""

from __future__ import annotations

from dataclasses import dataclass

LARGEST = 1_000
SMALLEST = 10
#: A batch that takes longer, in seconds, is halved; one that takes a quarter of it is doubled.
SLOW = 1.0


@dataclass(slots=True)
class Pace:
    """The size of the next batch, never over ``LARGEST``."""

    size: int = LARGEST

    def took(self, seconds: float) -> None:
        """Learn how long a batch of this size took."""
        if seconds > SLOW:
            self.size = max(self.size // 2, SMALLEST)
        elif seconds < SLOW / 4:
            self.size = min(self.size * 2, LARGEST)
