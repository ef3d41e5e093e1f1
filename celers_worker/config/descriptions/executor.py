"""The processes of handlers: how many, how long they are kept, what they see."""

from __future__ import annotations

from collections.abc import Mapping

from celers_worker.config.descriptions.description import Description

DESCRIPTIONS: Mapping[str, Description] = {
    "executor.processes": Description(
        'Tasks of handlers with runs="process" that one worker runs at once.',
        "Raise it towards the number of cores for handlers that compute; each is a process.",
    ),
    "executor.max_tasks": Description(
        "Runs after which such a process is replaced by a new one.",
        "Lower it if handlers leak something; 1 gives each run a process of its own.",
    ),
    "executor.max_memory": Description(
        "Such a process is replaced after a run that left it with more memory than this.",
        "Raise it if handlers keep much on purpose, such as a model.",
    ),
    "executor.environment": Description(
        "Environment variables of the worker that these processes see, besides PATH and its like.",
        "List what the modules of the handlers need. Credentials of the database are not among it.",
        example='["AWS_REGION"]',
    ),
}
