"""What every setting is and when to change it, for ``celers check`` and config/celers.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Description(NamedTuple):
    """The words about one setting.

    ``example`` is TOML for config/celers.toml, for want of a default that can be written there.
    """

    what: str
    change: str
    example: str | None = None


DESCRIPTIONS: Mapping[str, Description] = {
    "database.url": Description(
        "The database: sqlite:///file, postgresql://user@host/name or mysql://user@host/name.",
        "Change it to run workers on several hosts. Keep a password out of this file: give the URL "
        "in CELERS_DATABASE_URL, or the name of a file that holds it in CELERS_DATABASE_URL_FILE.",
    ),
    "database.connect_timeout": Description(
        "How long connecting may take.",
        "Raise it for a database that is far away or wakes from sleep.",
    ),
    "database.call_timeout": Description(
        "How long one call of the database may take, by the worker's own clock.",
        "Raise it if a loaded database answers late; a frozen one is then noticed later.",
    ),
    "database.pool_size": Description(
        "Connections that a process keeps for calls; on PostgreSQL a worker has four more.",
        "Raise it if handlers use context.transaction() a lot; lower it if connections are scarce.",
    ),
    "worker.name": Description(
        "A label of the worker in lists and logs; by default the name of its host.",
        "Set it if several workers share a host.",
        example='"web-1"',
    ),
    "worker.app": Description(
        'The application, "module" or "module:attribute"; empty: tasks.py here.',
        "Set it if your tasks are in a package.",
    ),
    "worker.modules": Description(
        "Modules to import besides, because they declare tasks.",
        "List those that the application does not import by itself.",
    ),
    "worker.queues": Description(
        'Queues to serve, "name" or "name:limit"; empty: every queue.',
        "Set it to give a queue workers of its own.",
    ),
    "worker.processes": Description(
        "Processes of `celers worker`; more than one are supervised, and replaced when they die.",
        "Raise it towards the number of cores if one is fully used. Each process is a worker by "
        "itself: every limit is that of one process, and each has its own connections.",
    ),
    "worker.concurrency": Description(
        "Tasks that one process runs at once, of all queues together.",
        "Raise it for handlers that mostly wait; lower it if they need much processor or memory.",
    ),
    "worker.prefetch": Description(
        "Tasks that one process claims ahead, to start as soon as others end.",
        "Raise it, to as much as concurrency, if handlers take a few milliseconds. Tasks that are "
        "claimed ahead wait in this process, though another may be idle; they go back unrun when "
        "it stops.",
    ),
    "worker.queue_concurrency": Description(
        "Tasks of one queue that run at once, unless the queue has its own limit.",
        "Set it below concurrency so that no queue can take all the room.",
        example="25",
    ),
    "worker.threads": Description(
        "Threads for handlers that are plain functions; coroutines need none.",
        "Raise it if more of them should run at once.",
    ),
    "worker.timeout": Description(
        "How long a run may take if neither the task nor its handler says so.",
        "Set it so that a handler that hangs does not keep its room for ever.",
        example='"10m"',
    ),
    "worker.backoff": Description(
        "How long failed tasks wait for their next run, unless their queue or handler says so.",
        "Set it to immediate, fixed, linear, exponential, polynomial, fibonacci, decorrelated or "
        "steps, with its waits.",
        example='"exponential(2s, cap=1h)"',
    ),
    "worker.poll_interval": Description(
        "The longest wait between two looks for tasks.",
        "Lower it on MySQL and SQLite, which cannot notify, to start sooner; raise it to ask less.",
    ),
    "worker.poll_backoff": Description(
        "While nothing comes, looks grow apart up to this, where the database does not tell.",
        "Raise it on MySQL and SQLite to ask less when idle; the first task then starts later.",
    ),
    "worker.lease": Description(
        "How long a worker that shows no sign of life keeps its tasks.",
        "Lower it to rerun a killed worker's tasks sooner; raise it if handlers block the process.",
    ),
    "worker.heartbeat_interval": Description(
        "How often a worker shows a sign of life; at most half the lease.",
        "Lower it together with the lease.",
    ),
    "worker.reap_interval": Description(
        "How often a worker looks for the tasks of dead workers; at most the lease.",
        "Lower it to rerun them sooner: they wait for lease + reap_interval at the longest.",
    ),
    "worker.schedule_interval": Description(
        "The longest wait between two looks at the schedules; a due tick is not waited for longer.",
        "Lower it on MySQL and SQLite, which cannot notify, to notice a changed schedule sooner.",
    ),
    "worker.janitor_interval": Description(
        "How often what is past its retention is deleted.",
        "Lower it if so much ends that one round has too much to delete.",
    ),
    "worker.grace": Description(
        "How long a worker that is told to stop waits for running tasks.",
        "Raise it for long tasks, and with it the stop timeout of systemd or Kubernetes.",
    ),
    "worker.cancel_grace": Description(
        "How long tasks that still run after the grace may take to end once cancelled.",
        "Raise it if handlers clean up slowly.",
    ),
    "worker.max_crashes": Description(
        "Workers that may die with a task before it goes to the dead letter queue.",
        "Raise it if workers are killed for reasons other than their tasks.",
    ),
    "worker.settle_interval": Description(
        "How long an outcome waits for others, to be written together with them.",
        "Raise it to save transactions; results arrive that much later.",
    ),
    "worker.settle_batch": Description(
        "Outcomes that are written in one transaction at most.",
        "Lower it if the database suffers from large transactions.",
    ),
    "queues.NAME.concurrency": Description(
        "Tasks of this queue that one worker runs at once.",
        "Set it to protect what the tasks of this queue use.",
        example="4",
    ),
    "queues.NAME.backoff": Description(
        "How long failed tasks of this queue wait, unless their handler's code says so.",
        "Set it if what the tasks of this queue use recovers at a pace of its own.",
        example='"steps(10s, 1m, 10m)"',
    ),
    "queues.NAME.capacity": Description(
        "Tasks that may wait in this queue; an enqueue beyond fails with QueueFull.",
        "Set it so that a producer that is too fast is told so, instead of filling the database. "
        "Producers count before they add, so several at once may go over it a little.",
        example="10_000",
    ),
    "routes.NAME.queue": Description(
        "The queue for tasks whose name matches; the first rule that matches wins.",
        "Set it to move tasks to another queue than the code declares.",
        example='"reports"',
    ),
    "queues.NAME.retention_completed": Description(
        "How long completed tasks of this queue are kept, whatever [retention] says.",
        "Set it for a queue whose tasks must be found longer, or are too many to keep.",
        example='"90d"',
    ),
    "queues.NAME.retention_cancelled": Description(
        "How long cancelled tasks of this queue are kept.",
        "Set it if [retention] does not suit this queue.",
        example='"30d"',
    ),
    "queues.NAME.retention_expired": Description(
        "How long expired tasks of this queue are kept.",
        "Set it if [retention] does not suit this queue.",
        example='"1d"',
    ),
    "queues.NAME.retention_dead": Description(
        "How long the dead letter queue keeps tasks of this queue.",
        "Set it if [retention] does not suit this queue.",
        example='"90d"',
    ),
    "handlers.NAME.concurrency": Description(
        "Tasks of this name that one worker runs at once.",
        "Set it to protect what this handler uses.",
        example="2",
    ),
    "handlers.NAME.timeout": Description(
        "How long a run of this handler may take.",
        "Set it if the deployment needs another limit than the code declares.",
        example='"5m"',
    ),
    "handlers.NAME.max_retries": Description(
        "Runs of this handler's tasks after the first.",
        "Set it to 0 while trying again does harm.",
        example="10",
    ),
    "handlers.NAME.backoff": Description(
        "How long failed tasks of this name wait; it goes before the handler's code.",
        "Set it if the deployment needs other waits than the code declares.",
        example='"fibonacci(5s, cap=10m)"',
    ),
    "schedules.NAME.enabled": Description(
        "Whether it fires.",
        "Set it to false where a schedule of the code is not wanted, as on a test system.",
    ),
    "schedules.NAME.task": Description(
        "The task to enqueue; not set: the one called as the schedule. Not set by default.",
        "Set it if the schedule has another name.",
        example='"send_report"',
    ),
    "schedules.NAME.cron": Description(
        "When it fires: minute, hour, day, month, day of the week, or @daily and the like.",
        "Set this or every.",
        example='"30 2 * * MON-FRI"',
    ),
    "schedules.NAME.every": Description(
        "How often it fires, aligned: 15m is at :00, :15, :30 and :45.",
        "Set this or cron; both cannot be set.",
        example='"15m"',
    ),
    "schedules.NAME.timezone": Description(
        "The IANA time zone whose clocks cron means; UTC unless the code says otherwise.",
        "Set it if people expect the task at a time of their day.",
        example='"Europe/Berlin"',
    ),
    "schedules.NAME.arguments": Description(
        "The arguments of the task.",
        "Set them if its handler takes any.",
        example='{ kind = "daily" }',
    ),
    "schedules.NAME.queue": Description(
        "The queue of its tasks; not set: that of the handler. Not set by default.",
        "Set it to run them elsewhere.",
        example='"reports"',
    ),
    "schedules.NAME.priority": Description(
        "The priority of its tasks; higher runs first.",
        "Set it if they should not wait behind others.",
        example="5",
    ),
    "schedules.NAME.max_retries": Description(
        "Runs of its tasks after the first.",
        "Set it to 0 if the next tick does as well.",
        example="0",
    ),
    "schedules.NAME.timeout": Description(
        "How long a run of its tasks may take.",
        "Set it below the time between two ticks.",
        example='"5m"',
    ),
    "schedules.NAME.expires": Description(
        "How long after its tick a task may start.",
        "Set it if a task is worth nothing when the next one comes.",
        example='"1h"',
    ),
    "schedules.NAME.misfire": Description(
        "What becomes of ticks that no worker dealt with in time: skip, once or all.",
        "Set it to all if each tick counts, to skip if none does once it is over. Once is usual.",
        example='"once"',
    ),
    "schedules.NAME.misfire_after": Description(
        "How late a tick may be and still be in time; 1m unless the code says otherwise.",
        "Raise it if workers are away for longer in a deployment.",
        example='"1m"',
    ),
    "schedules.NAME.catch_up": Description(
        "How many ticks are made up for at most, the newest; 100 unless the code says otherwise.",
        "Lower it if each costs much.",
        example="100",
    ),
    "schedules.NAME.overlap": Description(
        "What becomes of a tick while the last task has not ended: allow, skip or queue.",
        "Set it to skip or queue if two of them would get in each other's way.",
        example='"skip"',
    ),
    "schedules.NAME.jitter": Description(
        "Up to how long after its tick a task is due, at random.",
        "Set it if many schedules would start at the same moment.",
        example='"2m"',
    ),
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
    "metrics.host": Description(
        "The address to serve metrics and health at.",
        'Set it to "0.0.0.0" if Prometheus or the probes come from another host.',
    ),
    "metrics.port": Description(
        "The port to serve metrics and health at; 0 takes a free one.",
        "Set it to turn the server on.",
        example="9464",
    ),
    "log.level": Description(
        "The least important lines to write: debug, info, warning or error.",
        "Set it to debug to follow single tasks, to warning to save space.",
    ),
    "log.format": Description(
        "console for people, json for machines; auto: console on a terminal, else json.",
        "Set it if the place where the logs go wants one of them.",
    ),
}
