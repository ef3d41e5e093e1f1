"""config/celers.toml: every setting, commented out at its default."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from celers_worker.config.settings import Config, Setting, settings_of
from celers_worker.config.tables import NAMED_TABLES

_HEAD = """\
# Every setting of Celers. What is commented out is the default, or an example where the text says
# that there is none; remove the "# " before a key to change it.
#
# Celers reads the file that --config or CELERS_CONFIG names, else celers.toml in the current
# directory, else the tables [tool.celers.database], [tool.celers.worker] … of pyproject.toml.
# Environment variables go before the file, CELERS_WORKER_CONCURRENCY=20 for concurrency in
# [worker], and flags go before both. `celers check` prints every value and where it comes from.
#
# A duration is a number with a unit: "250ms", "30s", "5m", "1h30m", "7d". A bare number counts
# seconds.
"""

_NAMES = {"queues": "emails", "handlers": '"shop.tasks.send_invoice"', "schedules": "nightly"}
_NOTES = {
    "queues": "One table for each queue that needs its own limits; uncomment its header too.",
    "handlers": "One table for each task name, to override its code; uncomment its header too.",
    "schedules": "One table for each schedule that is new or overrides one of the code; uncomment "
    "its header too.",
}


def example_config() -> str:
    """Return config/celers.toml, which is also what ``celers init`` writes."""
    return "\n".join([_HEAD, *_tables()])


def _tables() -> Iterator[str]:
    for table in Config.__struct_fields__:
        if table == "routes":
            yield from _routes()
            continue
        if table in NAMED_TABLES:
            yield f"\n# {_NOTES[table]}\n# [{table}.{_NAMES[table]}]\n"
        else:
            yield f"\n[{table}]\n"
        for key, setting in settings_of(table).items():
            yield from _setting(key, setting)


def _routes() -> Iterator[str]:
    """Rules are written in one table: a pattern on the left, a queue on the right."""
    what, change, queue = settings_of("routes")["queue"].description
    comment = "\n".join(
        textwrap.fill(text, 98, initial_indent="# ", subsequent_indent="# ")
        for text in (what, change, "A pattern is a task's name, or has the wildcards *, ? and [].")
    )
    yield f'\n[routes]\n\n{comment}\n# "shop.reports.*" = {queue}\n'


def _setting(key: str, setting: Setting) -> Iterator[str]:
    what, change, example = setting.description
    if setting.default is None:
        value = example
        what += "" if "by default" in what else " Not set by default."
    else:
        value = setting.kind.write(setting.default)
    comment = "\n".join(
        textwrap.fill(text, 98, initial_indent="# ", subsequent_indent="# ")
        for text in (what, change)
    )
    yield f"{comment}\n# {key} = {value}\n"
