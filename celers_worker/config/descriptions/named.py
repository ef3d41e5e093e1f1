"""What is set for one name: a queue, a route, a handler."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
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
    "handlers.NAME.memory": Description(
        'Memory that a run of this handler may use, if it has runs="process".',
        "Set it if the deployment needs another limit than the code declares.",
        example='"512MB"',
    ),
    "handlers.NAME.circuit_failures": Description(
        "Failed runs within circuit_window that open the handler's circuit: its tasks are held, "
        "and lose no attempt, until one that is tried completes. 0: never.",
        "Set it for a handler that calls a service which may be down.",
        example="5",
    ),
    "handlers.NAME.circuit_rate": Description(
        "The failures must also be so many percent of the runs within the window.",
        "Lower it if many tasks complete although the service is down.",
        example="50",
    ),
    "handlers.NAME.circuit_window": Description(
        "Failures longer ago than this do not count.",
        "Raise it for a handler that runs seldom.",
        example='"1m"',
    ),
    "handlers.NAME.circuit_rest": Description(
        "Each time so long after, one task is tried.",
        "Set it to how long the service takes to come back.",
        example='"30s"',
    ),
}
