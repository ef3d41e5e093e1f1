"""What the commands share that move rows: which ones are meant, and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import click

from celers_worker.cli.choosing import QUEUE, STATES, TASK_NAME
from celers_worker.cli.output import count, note
from celers_worker.core.task import TaskState

if TYPE_CHECKING:
    from celers_worker.moving.importing import Tally
    from celers_worker.store.moving.selection import Selection

Function = TypeVar("Function", bound=Callable[..., Any])


def _names(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    return tuple(name.strip() for text in given for name in text.split(",") if name.strip())


only_option = click.option(
    "--only",
    multiple=True,
    metavar="PART,…",
    callback=_names,
    help="Only these: tasks (live ones), dead, archive, results, attempts, queues, …",
)
file_argument = click.argument("file", metavar="FILE|-")


def selection_options(function: Function) -> Function:
    """Add ``--only`` and the filters of tasks to a command that reads a database."""
    options = (
        only_option,
        click.option("-q", "--queue", type=QUEUE, help="Only tasks of this queue."),
        click.option(
            "-s",
            "--state",
            "states",
            multiple=True,
            type=STATES,
            help="Only tasks in this state; repeatable.",
        ),
        click.option("--name", type=TASK_NAME, help="Only tasks of this name."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def selection_of(chosen: Mapping[str, Any]) -> Selection:
    """What those options mean."""
    from celers_worker.store.moving.selection import Selection

    return Selection(
        only=chosen["only"],
        states=[TaskState(state) for state in chosen["states"]],
        queue=chosen["queue"],
        name=chosen["name"],
    )


def counted(rows: Mapping[str, int]) -> str:
    """``3 tasks, 1 dead``: the rows of each part that has any, or ``nothing``."""
    return ", ".join(f"{number:,} {part}" for part, number in rows.items() if number) or "nothing"


def tell_rest(tally: Tally) -> None:
    """Say beside the answer what was not added, and why."""
    if tally.replaced:
        note(f"{count(tally.replaced, 'row')} replaced those that were there.")
    if tally.known:
        note(f"{count(tally.known, 'row')} were there already and stay as they are.")
    if tally.held:
        note(
            f"{count(tally.held, 'task')} were left out: a live task has the unique key. "
            f"The first is {tally.first_held}."
        )
