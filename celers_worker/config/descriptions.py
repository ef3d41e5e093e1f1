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
        "How long the results of tasks are kept.",
        "Lower it to save space.",
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
