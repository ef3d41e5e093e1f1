"""Enqueue with unique keys: who has the key, in which window, and what becomes of a second task.

The unique index among live tasks decides, and beside it one row for each key that is taken for a
window. Both are written before they are read, so that of several producers at once one is first
and the others find what it wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from celers_worker.core.duration import LONGEST
from celers_worker.core.errors import Unavailable, UniqueKeyTaken
from celers_worker.core.task import Enqueued, NewTask, TaskState
from celers_worker.core.uniqueness import OnConflict, Uniqueness
from celers_worker.store import unique_statements
from celers_worker.store.values import chunks, new_values

#: Every round means that a task with the key ended, so this is only there against the unthinkable.
ROUNDS = 100


class UniqueEnqueue:
    """Adds tasks with unique keys in one *transaction*.

    *repeated*: an earlier try may have succeeded, and its task may have ended since.
    """

    def __init__(self, transaction: Any, *, repeated: bool) -> None:
        self._transaction = transaction
        self._connection = transaction.connection
        self._repeated = repeated
        self._found: dict[UUID, Enqueued] = {}

    def add_refusable(self, tasks: Sequence[NewTask]) -> None:
        """Add those that say more than their key, or find or replace the one that has it.

        Raises UniqueKeyTaken; then nothing has been added.
        """
        try:
            # First what may be refused, then in one order everywhere, so that two producers with
            # the same keys cannot deadlock.
            for task in sorted(tasks, key=_refusable_first):
                if task.uniqueness is not None:
                    self._found[task.id] = self._add_one(task, task.uniqueness)
        except UniqueKeyTaken:
            self._take_back(tasks)
            raise

    def add(self, tasks: Sequence[NewTask]) -> dict[UUID, Enqueued]:
        """Add those that have nothing but a key, or find the one that has it.

        Returns what became of all, of those that ``add_refusable`` added too.
        """
        missing = [task for task in tasks if task.uniqueness is None]
        missing.sort(key=lambda task: task.unique_key or "")
        for _ in range(ROUNDS):
            if not missing:
                return self._found
            for chunk in chunks(missing):
                self._transaction.insert(chunk, unless_known=True)
            self._look_for_owners(missing)
            missing = [task for task in missing if task.id not in self._found]
        raise _changed_hands(missing[0])

    def _look_for_owners(self, tasks: Sequence[NewTask]) -> None:
        owners = {row.unique_key: row.id for row in self._owners(_keys(tasks))}
        windows = self._windows(_keys(tasks))
        beaten = []
        for task in tasks:
            owner = owners.get(task.unique_key)
            holder = windows.get(task.unique_key)
            if owner == task.id and holder not in (None, task.id):
                beaten.append(task.id)
                owner = holder
            if owner is not None:
                self._found[task.id] = Enqueued(owner, existing=owner != task.id)
        self._transaction.delete(beaten)

    def _add_one(self, task: NewTask, how: Uniqueness) -> Enqueued:
        if self._repeated and self._window(task) == task.id:
            return Enqueued(task.id)  # the earlier try added it, whatever became of it since
        for _ in range(ROUNDS):
            if how.window is not None:
                holder = self._take_window(task, how.window.total_seconds())
                if holder is None:
                    continue  # it ended, and the janitor was quicker
                if holder != task.id:
                    return self._met(task, how, holder)
            self._transaction.insert([task], unless_known=True)
            owner = next(iter(self._owners([task.unique_key])), None)
            if owner is None:
                continue  # it ended between the two statements: now there is room
            holder = None if how.window is not None else self._window(task)
            if owner.id == task.id:
                if holder is None:
                    return Enqueued(task.id)
                self._transaction.delete([task.id])
                return self._met(task, how, holder)
            self._free_window(task)
            if (met := self._resolve(task, how, owner, holder)) is not None:
                return met
        raise _changed_hands(task)

    def _resolve(
        self, task: NewTask, how: Uniqueness, owner: Any, holder: UUID | None
    ) -> Enqueued | None:
        """What a live owner of the key means for *task*; None: look again."""
        taken_for_longer = how.window is not None or holder is not None
        if not how.replaces or owner.state == TaskState.BLOCKED:
            return self._met(task, how, owner.id)
        if owner.state == TaskState.PENDING:
            return Enqueued(owner.id, existing=True) if self._replace(task, owner.id) else None
        if taken_for_longer:
            return Enqueued(owner.id, existing=True)
        values = {"owner": owner.id, "key": task.unique_key}
        self._connection.execute(unique_statements.SUPERSEDE, values)
        return None

    def _met(self, task: NewTask, how: Uniqueness, owner: UUID) -> Enqueued:
        if how.on_conflict is OnConflict.RAISE:
            raise UniqueKeyTaken(str(task.unique_key), owner)
        if how.replaces:
            self._replace(task, owner)
        return Enqueued(owner, existing=True)

    def _replace(self, task: NewTask, owner: UUID) -> bool:
        """Let a waiting task become *task*; False if it waits no more."""
        how = task.uniqueness
        values = {**new_values(task), "owner": owner, "key": task.unique_key}
        # In an UPDATE what has no bind would be a column.
        del values["new_id"], values["new_unique_key"]
        statement = unique_statements.REPLACE
        if how is not None and how.debounce is not None:
            del values["new_at"], values["new_delay"]
            longest = how.debounce_max or LONGEST
            values |= {
                "pause": how.debounce.total_seconds(),
                "longest": longest.total_seconds(),
            }
            statement = unique_statements.DEBOUNCE
        replaced = self._connection.execute(statement, values)
        return bool(replaced.rowcount)

    # --- windows ---

    def _take_window(self, task: NewTask, seconds: float) -> UUID | None:
        """Take the window of the key if it is free; whose it is."""
        values = {"of_task": task.id, "window": seconds}
        self._connection.execute(
            unique_statements.ADD_WINDOW, {"of_key": task.unique_key, **values}
        )
        self._connection.execute(unique_statements.TAKE_WINDOW, {"key": task.unique_key, **values})
        held = self._rows(self._transaction.as_of_now(unique_statements.WINDOWS), [task.unique_key])
        return held[0].task_id if held else None

    def _window(self, task: NewTask) -> UUID | None:
        """Whose window it is. Not locked: who takes a window has its row first, then the task's."""
        return self._windows([task.unique_key]).get(task.unique_key)

    def _free_window(self, task: NewTask) -> None:
        """Nothing was added, so no window began."""
        values = {"keys": [task.unique_key], "ids": [task.id]}
        self._connection.execute(unique_statements.FREE_WINDOWS, values)

    def _windows(self, keys: Iterable[str | None]) -> dict[str | None, UUID]:
        return {row.unique_key: row.task_id for row in self._rows(unique_statements.WINDOWS, keys)}

    # --- the rest ---

    def _owners(self, keys: Iterable[str | None]) -> list[Any]:
        return self._rows(self._transaction.as_of_now(unique_statements.OWNERS), keys)

    def _rows(self, query: Any, keys: Iterable[str | None]) -> list[Any]:
        return [
            row
            for chunk in chunks(list(keys))
            for row in self._connection.execute(query, {"keys": chunk})
        ]

    def _take_back(self, tasks: Sequence[NewTask]) -> None:
        """Leave nothing behind in a transaction that goes on: the application's own."""
        added = [one.id for one in self._found.values() if not one.existing]
        self._transaction.delete(added)
        for chunk in chunks([task for task in tasks if task.id in added]):
            values = {"keys": _keys(chunk), "ids": [task.id for task in chunk]}
            self._connection.execute(unique_statements.FREE_WINDOWS, values)


def _keys(tasks: Iterable[NewTask]) -> list[str | None]:
    return list({task.unique_key for task in tasks})


def _refusable_first(task: NewTask) -> tuple[bool, str]:
    how = task.uniqueness
    return how is None or how.on_conflict is not OnConflict.RAISE, task.unique_key or ""


def _changed_hands(task: NewTask) -> Unavailable:
    return Unavailable(f"the unique key {task.unique_key!r} changed hands {ROUNDS} times.")
