"""``celers schedule add``: a schedule in the database, checked by the application if it can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from celers_worker.cli import schedule_view
from celers_worker.cli.choosing import DURATION, QUEUE, SCHEDULE, TASK_NAME
from celers_worker.cli.enqueue import arguments_of, find_application, warn_unless_handled
from celers_worker.cli.invocation import Invocation
from celers_worker.cli.output import age, say
from celers_worker.core.errors import ConfigurationError

if TYPE_CHECKING:
    from celers_worker.core.schedule import Schedule

cron_option = click.option(
    "--cron", metavar="EXPRESSION", help='Such as "30 2 * * MON-FRI", @daily.'
)
every_option = click.option(
    "--every", type=DURATION, metavar="DURATION", help="Such as 15m, aligned."
)
timezone_option = click.option("--timezone", metavar="ZONE", help="For --cron; else UTC.")


@click.command("add")
@click.argument("name", metavar="NAME", type=SCHEDULE)
@click.argument("task", metavar="TASK", type=TASK_NAME)
@click.argument("arguments", metavar="[KEY=VALUE]...", nargs=-1)
@cron_option
@every_option
@timezone_option
@click.option("--json", "content", metavar="OBJECT", help="Arguments as one JSON object.")
@click.option("-A", "--app", metavar="MODULE[:NAME]", help="The application that checks the task.")
@click.option("--force", is_flag=True, help="Even if the application has no such handler.")
@click.option("--replace", is_flag=True, help="In place of the schedule of this name.")
@click.option("-q", "--queue", type=QUEUE, help="Else its handler's, else default.")
@click.option("--priority", type=int, metavar="N", help="Higher runs first.")
@click.option("--max-retries", type=int, metavar="N", help="Runs after the first.")
@click.option("--timeout", metavar="DURATION", help="How long a run may take.")
@click.option("--expires", metavar="DURATION", help="Not started by then: dropped.")
@click.option("--misfire", metavar="POLICY", help="Late ticks: skip, once (the default) or all.")
@click.option("--misfire-after", metavar="DURATION", help="How late is late; else 1m.")
@click.option("--catch-up", type=int, metavar="N", help="Late ticks made up for; else 100.")
@click.option("--overlap", metavar="POLICY", help="The last still runs: allow, skip or queue.")
@click.option("--jitter", metavar="DURATION", help="Due up to so long after the tick.")
@click.pass_obj
def command(
    invocation: Invocation,
    /,
    name: str,
    task: str,
    arguments: tuple[str, ...],
    content: str | None,
    app: str | None,
    force: bool,
    replace: bool,
    **terms: Any,
) -> None:
    """Add a schedule, which counts from now.

    With --replace it goes before one that the code or the configuration of a worker declares, until
    it is removed.
    """
    from celers_worker.store import schedule_control

    given = arguments_of(arguments, content)
    loaded = invocation.load_config({"worker.app": app})
    made = _made(name, task, given, terms)
    application, loaded = find_application(loaded)
    if application is not None:
        handler = application.registry.get(task)
        if handler is None and not force:
            raise ConfigurationError(
                f"the application has no handler {task!r}.{application.registry.suggestion(task)} "
                "Schedule it for another one with --force."
            )
        if handler is not None:
            made = _made(name, task, given, terms, application.client.configured(handler))
    with invocation.store(loaded.config) as store:
        if application is None:
            warn_unless_handled(store, task)
        is_new = store.run(schedule_control.add, made, replace=replace)
        view = schedule_view.find(store, name)
    say(f"{name} is {'added' if is_new else 'replaced'}. It fires {age(view.next_tick)}.")


def _made(
    name: str, task: str, given: dict[str, Any], terms: dict[str, Any], handler: Any = None
) -> Schedule:
    from celers_worker.core.options import Options
    from celers_worker.core.policies import policies_of
    from celers_worker.core.schedule import make_schedule
    from celers_worker.core.timing import timing_of

    timing = ("cron", "every", "timezone")
    policies = ("misfire", "misfire_after", "catch_up", "overlap", "jitter")
    options = ("queue", "priority", "max_retries", "timeout", "expires")
    return make_schedule(
        name,
        task,
        timing_of(**{term: terms[term] for term in timing}),
        arguments=given,
        options=Options(**{term: terms[term] for term in options}),
        policies=policies_of(**{term: terms[term] for term in policies}),
        handler=handler,
    )
