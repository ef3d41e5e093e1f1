"""A workflow as a row, a page, a document, or a drawing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from celers_worker.cli.output import Column, age, printable, show_table
from celers_worker.core.task import LIVE, TaskState
from celers_worker.core.workflow import Policy, WorkflowState

if TYPE_CHECKING:
    from celers_worker.store.workflow.inspect import Graph, StepView, WorkflowView

_ROWS = (
    Column("ID"),
    Column("STATE"),
    Column("NAME", cut=True),
    Column("STEPS", right=True),
    Column("WHEN"),
    Column("ERROR", cut=True),
)
_STEPS = (
    Column("#", right=True),
    Column("NAME", cut=True),
    Column("STATE"),
    Column("AFTER", cut=True),
    Column("TASK"),
    Column("ERROR", cut=True),
)
_COLOURS = {
    TaskState.COMPLETED: "#b7e1b0",
    TaskState.FAILED: "#f4b6b6",
    TaskState.CANCELLED: "#dddddd",
    TaskState.EXPIRED: "#dddddd",
    TaskState.PROCESSING: "#b9d7f5",
    TaskState.PENDING: "#fdeeb5",
    TaskState.BLOCKED: "#ffffff",
}
#: What an arrow says when it is not the usual one.
_LABELS = {
    Policy.SKIP: "skip",
    Policy.CONTINUE: "continue",
    Policy.ON_FAILURE: "on failure",
}


def left(view: WorkflowView) -> int:
    """How many steps have not ended."""
    return sum(number for state, number in view.counts.items() if state in LIVE)


def show_rows(views: list[WorkflowView]) -> None:
    """Print workflows as a table."""
    show_table(_ROWS, [_row(view) for view in views])


def _row(view: WorkflowView) -> tuple[str, ...]:
    when = f"enqueued {age(view.created_at)}"
    if view.completed_at is not None:
        when = f"ended {age(view.completed_at)}"
    done = f"{view.steps - left(view):,}/{view.steps:,}"
    return str(view.id), _state(view), view.name, done, when, _first_line(view.error)


def document(view: WorkflowView) -> dict[str, Any]:
    """A workflow for programs; the keys are part of the interface."""
    return {
        "id": view.id,
        "name": view.name,
        "state": view.state.value,
        "stopping": view.stopping,
        "created_at": view.created_at,
        "completed_at": view.completed_at,
        "expires_at": view.expires_at,
        "error": view.error,
        "steps": view.steps,
        "counts": {state.value: number for state, number in view.counts.items()},
    }


def full_document(graph: Graph) -> dict[str, Any]:
    """A workflow for programs with its steps and edges."""
    return {
        **document(graph.workflow),
        "steps": [
            {
                "id": step.id,
                "name": step.name,
                "state": step.state.value,
                "error": step.error,
                "ended_at": step.ended_at,
            }
            for step in graph.steps
        ],
        "edges": [
            {"parent": edge.parent, "child": edge.child, "policy": edge.policy.value}
            for edge in graph.edges
        ],
    }


def show_page(graph: Graph) -> None:
    """Print everything about a workflow."""
    lines = [(title, text) for title, text in _facts(graph.workflow) if text]
    width = max(len(title) for title, _ in lines)
    for title, text in lines:
        click.echo(f"{click.style(title.ljust(width), bold=True)}  {printable(text)}")
    click.echo()
    numbers = {step.id: str(place) for place, step in enumerate(graph.steps, 1)}
    parents: defaultdict[UUID, list[str]] = defaultdict(list)
    for edge in graph.edges:
        label = f" ({_LABELS[edge.policy]})" if edge.policy in _LABELS else ""
        parents[edge.child].append(numbers.get(edge.parent, "all") + label)
    show_table(
        _STEPS,
        [
            (
                numbers[step.id],
                step.name,
                step.state.value,
                ", ".join(parents[step.id]),
                str(step.id),
                _first_line(step.error),
            )
            for step in graph.steps
        ],
    )


def mermaid(graph: Graph) -> str:
    """A flowchart, as Mermaid reads it."""
    lines = ["flowchart TD"]
    names = _names(graph)
    for step in graph.steps:
        # An entity, for a quote would end the text.
        text = _label(step).replace('"', "#quot;")
        lines.append(f'    {names[step.id]}["{text}"]:::{step.state.value}')
    whole = graph.workflow
    if any(edge.parent == whole.id for edge in graph.edges):
        text = (whole.name or "workflow").replace('"', "#quot;")
        lines.append(f'    {names[whole.id]}(["{printable(text)}"])')
    for edge in graph.edges:
        label = f"|{_LABELS[edge.policy]}|" if edge.policy in _LABELS else ""
        lines.append(f"    {names[edge.parent]} -->{label} {names[edge.child]}")
    classes = [
        f"    classDef {state.value} fill:{_COLOURS[state]},color:#000"
        for state in sorted({step.state for step in graph.steps})
    ]
    return "\n".join([*lines, *classes])


def dot(graph: Graph) -> str:
    """A directed graph, as Graphviz reads it."""
    lines = ["digraph workflow {", '    node [shape=box, style="rounded,filled"];']
    names = _names(graph)
    for step in graph.steps:
        colour = _COLOURS[step.state]
        lines.append(
            f"    {names[step.id]} [label={_quoted(_label(step))}, fillcolor={_quoted(colour)}];"
        )
    whole = graph.workflow
    if any(edge.parent == whole.id for edge in graph.edges):
        lines.append(f"    {names[whole.id]} [label={_quoted(whole.name or 'workflow')}];")
    for edge in graph.edges:
        label = f" [label={_quoted(_LABELS[edge.policy])}]" if edge.policy in _LABELS else ""
        lines.append(f"    {names[edge.parent]} -> {names[edge.child]}{label};")
    return "\n".join([*lines, "}"])


def _names(graph: Graph) -> Mapping[UUID, str]:
    """A short name for every node, also one that an edge alone knows of."""
    ids = [step.id for step in graph.steps]
    ids += [end for edge in graph.edges for end in (edge.parent, edge.child)]
    return {node: f"s{place}" for place, node in enumerate(dict.fromkeys(ids), 1)}


def _label(step: StepView) -> str:
    return f"{printable(step.name)} · {step.state.value}"


def _quoted(text: str) -> str:
    escaped = printable(text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _facts(view: WorkflowView) -> Iterator[tuple[str, str]]:
    yield "id", str(view.id)
    yield "name", view.name
    yield "state", _state(view)
    yield "error", _first_line(view.error)
    yield "steps", f"{view.steps - left(view):,} of {view.steps:,} have ended"
    yield "enqueued", age(view.created_at)
    yield "ended", age(view.completed_at)
    yield "deadline", age(view.expires_at) if view.completed_at is None else ""


def _state(view: WorkflowView) -> str:
    stops = view.stopping and view.state is WorkflowState.RUNNING
    return "stopping" if stops else view.state.value


def _first_line(text: str | None) -> str:
    return (text or "").strip().split("\n")[0]
