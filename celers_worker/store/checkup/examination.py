"""Everything the doctor looks at on a database whose tables are sound. Changes nothing.

Each subject is asked in a transaction of its own: one that the database refuses to tell, for want
of a right, leaves the others to be told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from celers_worker.core.errors import StoreError
from celers_worker.store.checkup import bloat, clock, connections, plan, rights, settings, work
from celers_worker.store.checkup.thresholds import Thresholds
from celers_worker.store.diagnosis import Finding, Severity
from celers_worker.store.direct import DirectStore
from celers_worker.store.transaction import Transaction

Subject: TypeAlias = Callable[[Transaction, Thresholds], Iterator[Finding]]

#: In the order in which they are told.
SUBJECTS: tuple[tuple[str, Subject], ...] = (
    ("its settings", settings.examine),
    ("the rights of its user", rights.examine),
    ("its connections", connections.examine),
    ("its clock", clock.examine),
    ("the plan of a claim", plan.examine),
    ("dead rows and old snapshots", bloat.examine),
    ("the work that waits", work.examine),
)


def examine(store: DirectStore, thresholds: Thresholds) -> list[Finding]:
    """Look at all subjects. Raises StoreError only if the database is away."""
    found: list[Finding] = []
    for words, subject in SUBJECTS:
        try:
            found += store.run(lambda transaction: list(subject(transaction, thresholds)))  # noqa: B023 - it is called at once
        except StoreError as error:
            store.run(lambda transaction: None)  # is it away?
            found.append(
                Finding(
                    severity=Severity.WARNING,
                    what=f"{words} could not be looked at: {error}",
                    why="What is wrong there is not told.",
                    mend="give the user of database.url the right to read it",
                )
            )
    return found
