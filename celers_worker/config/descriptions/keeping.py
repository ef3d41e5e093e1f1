"""What is kept, how long and how large."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
    "retention.completed": Description(
        "How long completed tasks are kept; with 0s they are deleted when they complete.",
        "Lower it to save space. Without them nobody can look up what has run; what handlers "
        "returned is kept as long as results says.",
    ),
    "retention.cancelled": Description(
        "How long cancelled tasks are kept.",
        "Lower it to save space.",
    ),
    "retention.expired": Description(
        "How long tasks that expired before they ran are kept.",
        "Lower it to save space.",
    ),
    "retention.dead": Description(
        "How long the dead letter queue keeps a task.",
        "Raise it if nobody may look at it in that time.",
    ),
    "retention.results": Description(
        "How long the results of tasks are kept, unless their handlers say so with result_ttl.",
        "Lower it to save space.",
    ),
    "limits.arguments": Description(
        "The largest arguments of a task, in bytes; larger ones are refused when it is enqueued.",
        "Raise it if you must; a reference to data that is stored elsewhere is better. Set it for "
        "those who enqueue.",
    ),
    "limits.result": Description(
        "The largest result of a task, in bytes; with a larger one the task is dead.",
        "Raise it if you must; a reference to data that is stored elsewhere is better. Set it for "
        "the workers.",
    ),
    "retention.ticks": Description(
        "How long it is kept what became of the ticks of schedules.",
        "Lower it to save space. A schedule that no worker has declared for so long is forgotten.",
    ),
    "retention.history": Description(
        "How long the audit trail of the queues that have one is kept.",
        "Raise it if an audit looks further back; see `celers queue history`.",
    ),
    "maintenance.archive_interval": Description(
        "How often tasks that CeleRS's own workers finished go to the archive; 0s: never.",
        "Lower it if they are many. What our workers finish goes there at once.",
    ),
    "maintenance.archive_after": Description(
        "How long such a task stays where CeleRS's programs can see it.",
        "Raise it if they look for it longer; its retention counts from its end all the same.",
    ),
    "maintenance.stuck_after": Description(
        "How long a task may be running without saying which worker has it.",
        "Raise it if CeleRS's own workers run longer tasks; those of our workers have a lease.",
    ),
    "maintenance.analyze_interval": Description(
        "How often the database counts its tables anew for its planner; 0s: never.",
        "Lower it if the number of tasks changes a lot.",
    ),
}
