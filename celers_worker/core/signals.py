"""What a handler raises to steer its own task, instead of returning or failing."""

from __future__ import annotations

from datetime import timedelta

from celers_worker.core.duration import Duration, parse_duration


class Signal(Exception):
    """Base of them all; not for use by itself."""


class Retry(Signal):
    """Run again, *after* a time of the handler's choosing; the attempt counts as failed."""

    def __init__(
        self, reason: str = "the handler asked for a retry", *, after: Duration | None = None
    ):
        super().__init__(reason)
        self.after: timedelta | None = (
            None if after is None else parse_duration(after, name="after")
        )


class Snooze(Signal):
    """Run again *after* a time; no attempt is counted."""

    def __init__(self, after: Duration, reason: str = "snoozed"):
        super().__init__(reason)
        self.after: timedelta = parse_duration(after, name="after")


class Cancel(Signal):
    """End the task as cancelled."""

    def __init__(self, reason: str = "the handler cancelled it"):
        super().__init__(reason)


class Dead(Signal):
    """Move the task to the dead letter queue: no further attempt can help."""

    def __init__(self, reason: str = "the handler gave up"):
        super().__init__(reason)


class Complete(Signal):
    """End the task as completed, with *result*; for permits, which cannot return one."""

    def __init__(self, result: object = None):
        super().__init__("completed without a run")
        self.result = result
