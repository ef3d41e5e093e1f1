"""Which rows are meant: parts, and filters of tasks that hold for what belongs to tasks too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, union_all
from sqlalchemy.sql.elements import ColumnElement

from celers_worker.core.errors import ConfigurationError
from celers_worker.core.task import TaskState
from celers_worker.store.inspect import TaskFilter, conditions
from celers_worker.store.moving.parts import Part, chosen_parts
from celers_worker.store.schema import archive, dead_letters, tasks


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Rows of the parts *only*, or of all; filters narrow them to tasks and what is theirs."""

    only: Sequence[str] = ()
    states: Sequence[TaskState] = ()
    queue: str | None = None
    name: str | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts with rows that can be meant, in their order.

        Raises ConfigurationError if *only* names a part that there is not, or none that is left.
        """
        chosen = chosen_parts(self.only)
        kept = tuple(part for part in chosen if self._can_hold(part))
        if not kept or (self.only and len(kept) < len(chosen)):
            lost = next(part.name for part in chosen if part not in kept)
            raise ConfigurationError(
                f"--only {lost} and {self._filters()} exclude each other: nothing would be left."
            )
        return kept

    @property
    def chosen(self) -> Mapping[str, Sequence[str]]:
        """The filters, as the header of an export tells of them."""
        found = {
            "state": [state.value for state in self.states],
            "queue": [self.queue] if self.queue is not None else [],
            "name": [self.name] if self.name is not None else [],
        }
        return {filter_: values for filter_, values in found.items() if values}

    def conditions(self, part: Part) -> list[ColumnElement[bool]]:
        """What rows of *part* must meet."""
        if not self.chosen:
            return []
        if part.holds_tasks:
            return conditions(part.table, self._filter)
        if part.owner is not None:
            return [part.table.c[part.owner].in_(self._ids())]
        assert part.queue is not None  # _can_hold let it pass
        return [part.table.c[part.queue] == self.queue]

    @property
    def _filter(self) -> TaskFilter:
        return TaskFilter(states=self.states, queue=self.queue, name=self.name)

    def _ids(self) -> Any:
        places = (tasks, archive, dead_letters)
        return union_all(
            *(select(place.c.id).where(*conditions(place, self._filter)) for place in places)
        )

    def _can_hold(self, part: Part) -> bool:
        if part.holds_tasks:
            return not self.states or bool(part.states & set(self.states))
        if part.owner is not None or not self.chosen:
            return True
        return part.queue is not None and set(self.chosen) == {"queue"}

    def _filters(self) -> str:
        return " ".join(
            f"--{filter_} {value}" for filter_, values in self.chosen.items() for value in values
        )


EVERYTHING = Selection()
