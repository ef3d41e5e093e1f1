"""Spans as OpenTelemetry's own SDK receives them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from celers_worker import Celers, Context, Snooze, backoff, testing
from celers_worker.core.foreign import trace_id
from celers_worker.core.task import new_id
from celers_worker.store import inspect
from celers_worker.store.direct import DirectStore
from celers_worker.tracing import Tracing
from tests.services.crews import configured


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def tracer(exporter: InMemorySpanExporter) -> trace.Tracer:
    return Telemetry(exporter).provider.get_tracer("the application")


class Telemetry:
    def __init__(self, exporter: InMemorySpanExporter) -> None:
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(exporter))


@pytest.fixture
async def app(migrated_url: str, exporter: InMemorySpanExporter) -> AsyncIterator[Celers]:
    app = Celers()
    app.client.config = configured(migrated_url)
    app.middleware(Tracing(Telemetry(exporter).provider))
    yield app
    await app.close()


def spans(exporter: InMemorySpanExporter, kind: SpanKind) -> list[ReadableSpan]:
    return [span for span in exporter.get_finished_spans() if span.kind is kind]


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def ids(span: Any) -> tuple[int, int]:
    found = span.get_span_context() if hasattr(span, "get_span_context") else span.context
    return found.trace_id, found.span_id


async def test_one_trace_leads_from_the_producer_to_the_run_and_what_it_enqueues(
    app: Celers, exporter: InMemorySpanExporter, tracer: trace.Tracer, direct: DirectStore
) -> None:
    seen = []

    @app.task(queue="emails")
    async def send(context: Context) -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)
        await context.enqueue(follow.call())

    @app.task()
    def follow() -> None:
        seen.append(trace.get_current_span().get_span_context().span_id)

    with tracer.start_as_current_span("request") as request:
        task = await send.enqueue()
    assert (await testing.drain(app)).completed == ["send", "follow"]

    created, created_next = spans(exporter, SpanKind.PRODUCER)
    ran, ran_next = spans(exporter, SpanKind.CONSUMER)
    assert (created.name, ran.name, ran_next.name) == (
        "create emails",
        "process emails",
        "process default",
    )
    trace_of = ids(request)[0]
    assert {ids(span)[0] for span in (created, ran, created_next, ran_next)} == {trace_of}
    parents = [span.parent and span.parent.span_id for span in (created, ran, created_next)]
    assert parents == [ids(request)[1], ids(created)[1], ids(ran)[1]]
    assert seen == [ids(ran)[1], ids(ran_next)[1]], "handlers, in threads too, are inside"
    assert attributes(ran) == {
        "messaging.system": "celers",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": "emails",
        "messaging.message.id": str(task.id),
        "celers.task.name": "send",
        "celers.task.attempt": 1,
    }
    assert attributes(created)["messaging.message.id"] == str(task.id)
    view = direct.run(inspect.task, task.id)
    assert view is not None
    assert trace_id(view.metadata) == f"{trace_of:032x}"


async def test_runs_of_a_batch_have_traces_of_their_own_with_a_link(
    app: Celers, exporter: InMemorySpanExporter
) -> None:
    @app.task()
    async def work(number: int) -> None: ...

    await app.enqueue_many(work.call(number) for number in range(5))
    await testing.drain(app)
    [created] = spans(exporter, SpanKind.PRODUCER)
    assert attributes(created)["messaging.batch.message_count"] == 5
    runs = spans(exporter, SpanKind.CONSUMER)
    assert len({ids(span)[0] for span in runs} - {ids(created)[0]}) == 5
    assert all(span.parent is None for span in runs)
    assert [ids(link) for span in runs for link in span.links] == [ids(created)] * 5


async def test_a_retry_links_to_the_producer_and_a_failure_is_an_error(
    app: Celers, exporter: InMemorySpanExporter
) -> None:
    @app.task(max_retries=1, backoff=backoff.immediate())
    async def work(context: Context) -> None:
        if context.attempt == 1:
            raise ValueError("no tea")

    await work.enqueue()
    while (await testing.drain(app)).retried:
        pass
    [created] = spans(exporter, SpanKind.PRODUCER)
    first, second = spans(exporter, SpanKind.CONSUMER)
    assert (ids(first)[0], list(first.links)) == (ids(created)[0], [])
    assert first.status.status_code is StatusCode.ERROR
    assert attributes(first)["error.type"] == "builtins.ValueError"
    assert [event.name for event in first.events] == ["exception"]
    assert ids(second)[0] != ids(created)[0]
    assert [ids(link) for link in second.links] == [ids(created)]
    assert attributes(second)["celers.task.attempt"] == 2
    assert second.status.status_code is StatusCode.UNSET


async def test_what_a_handler_raises_to_steer_its_task_is_no_error(
    app: Celers, exporter: InMemorySpanExporter
) -> None:
    @app.task()
    async def work() -> None:
        raise Snooze("1h")

    await work.enqueue()
    await testing.drain(app)
    [span] = spans(exporter, SpanKind.CONSUMER)
    assert span.status.status_code is StatusCode.UNSET
    assert attributes(span)["celers.task.signal"] == "snooze"


async def test_a_context_that_the_caller_brings_is_kept(
    app: Celers, exporter: InMemorySpanExporter
) -> None:
    @app.task()
    async def work() -> None: ...

    given = f"00-{new_id().hex}-00f067aa0ba902b7-01"
    await work.with_(metadata={"traceparent": given}).enqueue()
    await testing.drain(app)
    assert spans(exporter, SpanKind.PRODUCER) == []
    [run] = spans(exporter, SpanKind.CONSUMER)
    assert f"{ids(run)[0]:032x}" == given[3:35]
    assert run.parent is not None
    assert run.parent.span_id == 0x00F067AA0BA902B7


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
async def test_without_an_sdk_nothing_is_written_and_tasks_run(
    migrated_url: str, direct: DirectStore
) -> None:
    app = Celers()
    app.client.config = configured(migrated_url)
    app.middleware(Tracing(trace.NoOpTracerProvider()))

    @app.task()
    async def work() -> None: ...

    task = await work.enqueue()
    assert (await testing.drain(app)).completed == ["work"]
    await app.close()
    view = direct.run(inspect.task, task.id)
    assert view is not None
    assert not view.metadata


def test_who_does_not_ask_for_it_does_not_import_it() -> None:
    code = "import celers_worker, celers_worker.worker, sys; print('opentelemetry' in sys.modules)"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert shown.stdout.strip() == "False"


def test_without_the_package_the_extra_is_named() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import celers_worker.tracing"
    failed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert "pip install 'celers-worker[tracing]'" in failed.stderr.splitlines()[-1]
