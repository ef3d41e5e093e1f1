"""A worker: what it serves, how much at once, how patiently."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
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
    "worker.loop_deadline": Description(
        "How long a handler may hold the event loop before the process ends, and is started anew.",
        "Raise it only for coroutines that compute for longer; threads and processes do not hold "
        "it. The task at fault counts a crash, the others are given back.",
    ),
    "worker.settle_interval": Description(
        "How long an outcome waits for others, to be written together with them.",
        "Raise it to save transactions; results arrive that much later.",
    ),
    "worker.settle_batch": Description(
        "Outcomes that are written in one transaction at most.",
        "Lower it if the database suffers from large transactions.",
    ),
}
