"""Tracing: a span where tasks are made and one around each run, by OpenTelemetry's conventions.

Only its API is used: which SDK exports the spans, and to where, is the application's. Without one
they cost next to nothing, and without this middleware nothing at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.propagate import extract, inject
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

from celers_worker.core import signals
from celers_worker.core.context import Context
from celers_worker.core.foreign import document, traceparent
from celers_worker.core.middleware import Middleware, Next
from celers_worker.core.task import NewTask
from celers_worker.version import __version__

#: In the metadata of tasks that were made together: their runs are no children of one span, which
#: would make one trace of a hundred thousand tasks.
TOGETHER = "trace_together"
#: What carries a context; the values of others are nobody's business here.
_CARRIED = ("traceparent", "tracestate", "baggage")
#: What a handler raises to steer its task is no error.
_STEERS = (signals.Snooze, signals.Cancel, signals.Complete)


class Tracing(Middleware):
    """Follows tasks from who enqueues them to their runs: ``app.middleware(Tracing())``.

    The first run of a task that was enqueued alone is a child of its producer's span. Runs of tasks
    that were enqueued together, and retries, begin traces of their own, with a link to it.
    """

    def __init__(self, provider: trace.TracerProvider | None = None) -> None:
        """*provider*: where the spans go; else OpenTelemetry's global one."""
        self._tracer = trace.get_tracer("celers_worker", __version__, provider)

    def before_enqueue(self, tasks: Sequence[NewTask]) -> Sequence[NewTask]:
        """Write the context of a new span into the tasks, unless they bring one."""
        if not any(_wants_context(task) for task in tasks):
            return tasks
        queues = {task.queue for task in tasks}
        names = {task.name for task in tasks}
        attributes: dict[str, Any] = {
            "messaging.system": "celers",
            "messaging.operation.name": "create",
            "messaging.operation.type": "create",
        }
        if len(queues) == 1:
            attributes["messaging.destination.name"] = tasks[0].queue
        if len(names) == 1:
            attributes["celers.task.name"] = tasks[0].name
        if len(tasks) == 1:
            attributes["messaging.message.id"] = str(tasks[0].id)
        else:
            attributes["messaging.batch.message_count"] = len(tasks)
        name = f"create {tasks[0].queue}" if len(queues) == 1 else "create"
        with self._tracer.start_as_current_span(
            name, kind=SpanKind.PRODUCER, attributes=attributes
        ):
            carrier: dict[str, str] = {}
            inject(carrier)
        if "traceparent" not in carrier:  # no SDK: there is nothing to carry
            return tasks
        more: dict[str, object] = {key: carrier[key] for key in _CARRIED if key in carrier}
        if len(tasks) > 1:
            more[TOGETHER] = True
        return [_carrying(task, more) if _wants_context(task) else task for task in tasks]

    async def around_run(self, context: Context, call_next: Next) -> Any:
        """Run the task in a span of its own."""
        task = context.task
        metadata = {} if task.metadata is None else document(task.metadata)
        made_in, links = _producer(metadata), []
        if task.attempt > 1 or metadata.get(TOGETHER):
            span_context = trace.get_current_span(made_in).get_span_context()
            links = [Link(span_context)] if span_context.is_valid else []
            made_in = otel_context.Context()
        attributes: dict[str, Any] = {
            "messaging.system": "celers",
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": task.queue,
            "messaging.message.id": str(task.id),
            "celers.task.name": task.name,
            "celers.task.attempt": task.attempt,
        }
        with self._tracer.start_as_current_span(
            f"process {task.queue}",
            context=made_in,
            kind=SpanKind.CONSUMER,
            attributes=attributes,
            links=links,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                return await call_next()
            except _STEERS as signal:
                span.set_attribute("celers.task.signal", type(signal).__name__.lower())
                raise
            except BaseException as error:
                kind = type(error)
                span.set_attribute("error.type", f"{kind.__module__}.{kind.__qualname__}")
                span.set_status(Status(StatusCode.ERROR, str(error)[:1_000]))
                span.record_exception(error)
                raise


def _wants_context(task: NewTask) -> bool:
    return task.metadata is None or "traceparent" not in task.metadata


def _carrying(task: NewTask, more: Mapping[str, object]) -> NewTask:
    return msgspec.structs.replace(task, metadata={**(task.metadata or {}), **more})


def _producer(metadata: Mapping[str, Any]) -> otel_context.Context:
    """The context that a task carries: ours, that of another program, or none."""
    carrier = {key: metadata[key] for key in _CARRIED if isinstance(metadata.get(key), str)}
    if "traceparent" not in carrier and (found := traceparent(metadata)) is not None:
        carrier["traceparent"] = found  # CeleRS spells it otherwise
    return extract(carrier, context=otel_context.Context())
