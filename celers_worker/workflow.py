"""Workflows: tasks that wait for each other, enqueued as one and durable as a whole.

from celers_worker.workflow import chain, chord, graph, group

report = chord(count.map(pages), total.step())
task = await app.workflow(chain(fetch.call(url), report), timeout="1h").enqueue()
print(await task.result())
"""

from celers_worker.app.workflow.elements import Element, Step, chain, chord, graph, group
from celers_worker.app.workflow.handle import EnqueuedWorkflow
from celers_worker.app.workflow.whole import Workflow
from celers_worker.core.workflow import WorkflowState

__all__ = [
    "Element",
    "EnqueuedWorkflow",
    "Step",
    "Workflow",
    "WorkflowState",
    "chain",
    "chord",
    "graph",
    "group",
]
