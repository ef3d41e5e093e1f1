"""The handlers whose tasks are held, as people see them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from celers_worker.cli.output import Column, age, span

if TYPE_CHECKING:
    from celers_worker.store.direct import DirectStore
    from celers_worker.store.orders import HeldHandler

COLUMNS = (
    Column("HANDLER"),
    Column("HELD"),
    Column("SINCE"),
    Column("TRIED"),
    Column("WHY", cut=True),
)


def held(store: DirectStore) -> list[HeldHandler]:
    """The handlers that are held."""
    from celers_worker.store import orders

    return store.run(orders.held)


def names(store: DirectStore) -> list[str]:
    """The handlers that live workers have."""
    from celers_worker.store import survey

    views = [view for view in store.run(survey.list_workers) if view.state != "lost"]
    return sorted({name for view in views for name in view.handlers})


def row(one: HeldHandler) -> tuple[str, ...]:
    """A line of the list."""
    if one.paused_at is not None:
        return one.name, "paused", age(one.paused_at), "", one.paused_reason or ""
    return one.name, "circuit", age(one.opened_at), _tried(one), one.opened_reason or ""


def sentence(one: HeldHandler) -> str:
    """One line about it."""
    if one.paused_at is not None:
        return f"{one.name}, paused {age(one.paused_at)}, {one.paused_reason or ''}".rstrip(", ")
    return f"{one.name}, its circuit open since {age(one.opened_at)}: {one.opened_reason}"


def _tried(one: HeldHandler) -> str:
    if one.probe_in is None:
        return ""
    return f"in {span(one.probe_in)}" if one.probe_in > 0 else "now"
