"""Orders and circuits are told in the log and counted."""

from __future__ import annotations

from prometheus_client import generate_latest

from celers_worker.core.control_events import (
    CircuitClosed,
    CircuitOpened,
    CircuitProbed,
    HandlerFreed,
    HandlerHeld,
    WorkerDirected,
)
from celers_worker.core.events import Events
from celers_worker.core.task import new_id
from celers_worker.observe.metrics import Metrics
from tests.observe.test_logs import Log

TASK = new_id()
ALL = (
    CircuitOpened("pay", "ConnectionError: down", 30.0),
    HandlerHeld("pay", "its circuit is open"),
    CircuitProbed("pay", TASK),
    CircuitClosed("pay"),
    HandlerFreed("pay"),
)


def test_an_order_that_is_followed_is_told_with_who_gave_it() -> None:
    line = Log().line_of(WorkerDirected("quiet", 8, "ada@host"))
    assert (line["event"], line["level"]) == ("worker follows an order", "info")
    assert (line["state"], line["concurrency"], line["by"]) == ("quiet", 8, "ada@host")


def test_a_circuit_is_told_from_its_opening_to_its_end() -> None:
    log = Log()
    for event in ALL:
        log.events.emit(event)
    assert [(line["event"], line["level"]) for line in log.lines] == [
        ("circuit opened: nearly every run of the handler fails", "error"),
        ("tasks of a handler are held", "warning"),
        ("one task is tried while the circuit is open", "info"),
        ("circuit closed: the task that was tried completed", "info"),
        ("tasks of a handler run again", "info"),
    ]
    assert {line["task"] for line in log.lines} == {"pay"}
    assert log.lines[0]["error"] == "ConnectionError: down"
    assert log.lines[2]["id"] == str(TASK)


def test_circuits_are_counted_and_what_is_held_is_a_gauge() -> None:
    events = Events()
    metrics = Metrics(events)
    for event in ALL[:3]:
        events.emit(event)
    text = generate_latest(metrics.registry).decode()
    assert 'celers_circuit_changes_total{change="opened",task_name="pay"} 1.0' in text
    assert 'celers_circuit_changes_total{change="probed",task_name="pay"} 1.0' in text
    assert 'celers_handlers_held{task_name="pay"} 1.0' in text
    for event in ALL[3:]:
        events.emit(event)
    text = generate_latest(metrics.registry).decode()
    assert 'celers_circuit_changes_total{change="closed",task_name="pay"} 1.0' in text
    assert 'celers_handlers_held{task_name="pay"} 0.0' in text
