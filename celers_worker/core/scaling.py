"""How long a backlog takes, and how many workers it wants: estimates for people and autoscalers.

By what handlers took lately, not by rates: a rate says what the workers there are have done, also
when they had nothing to do. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

#: How much the newest mean counts: an estimate that jumps makes an autoscaler jump.
_WEIGHT = 0.3


class MeanTimes:
    """How long the tasks of each queue took lately, in seconds."""

    def __init__(self) -> None:
        self._means: dict[str, float] = {}
        self._seen: dict[str, tuple[float, int]] = {}

    def update(self, queue: str, seconds: float, count: int) -> None:
        """Since the start *count* tasks of *queue* took so many *seconds* together."""
        seconds_before, count_before = self._seen.get(queue, (0.0, 0))
        self._seen[queue] = seconds, count
        if count > count_before:
            mean = (seconds - seconds_before) / (count - count_before)
            known = self._means.get(queue, mean)
            self._means[queue] = known + _WEIGHT * (mean - known)

    def of(self, queue: str) -> float | None:
        """The mean of *queue*, else that of all queues; None: nothing has run here yet."""
        if queue in self._means:
            return self._means[queue]
        return sum(self._means.values()) / len(self._means) if self._means else None


def drain_seconds(pending: Mapping[str, int], times: MeanTimes, *, room: int) -> dict[str, float]:
    """How long the due tasks of each queue take if *room* tasks run at once; infinite without room.

    A queue of which nothing can be said is left out.
    """
    found: dict[str, float] = {}
    for queue, count in pending.items():
        mean = times.of(queue)
        if not count:
            found[queue] = 0.0
        elif mean is not None:
            found[queue] = count * mean / room if room else math.inf
    return found


def desired_workers(
    pending: Mapping[str, int],
    times: MeanTimes,
    *,
    processing: int,
    per_worker: int,
    target: float,
) -> int | None:
    """How many workers would do what is due within *target* seconds, beside what runs already.

    Never none while there is a task; None: nothing can be said yet.
    """
    if not any(pending.values()) and not processing:
        return 0
    work = 0.0
    for queue, count in pending.items():
        mean = times.of(queue)
        if count and mean is None:
            return None
        work += count * (mean or 0.0)
    return max(math.ceil((work / target + processing) / max(per_worker, 1)), 1)
