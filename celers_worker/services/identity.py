"""Who this worker is to the database."""

from __future__ import annotations

from celers_worker.core.task import new_id


class Identity:
    """The worker's id: new at every start, and again when its lease ran out.

    A lease that ran out is never renewed, so that nobody need ask whether a lost worker came back.
    The name is only a label; machines reuse names.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.id = str(new_id())

    def change(self) -> None:
        """Become somebody else."""
        self.id = str(new_id())
