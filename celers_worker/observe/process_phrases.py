"""The sentences about what a person told a running process to do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celers_worker.core import process_events as fact


class ProcessPhrases:
    """What is said of signals, at info and above."""

    EVENTS: Mapping[type, str] = {
        fact.ConfigurationReloaded: "reloaded",
        fact.ReloadRefused: "refused",
        fact.ClaimingStopped: "quiet",
        fact.ClaimingResumed: "resumed",
        fact.StacksTaken: "stacks",
    }

    def __init__(self, log: Any) -> None:
        self._log = log

    def reloaded(self, event: fact.ConfigurationReloaded) -> None:
        waiting = {"needs_a_restart": list(event.waiting)} if event.waiting else {}
        self._log.info("configuration reloaded", changed=list(event.changed), **waiting)

    def refused(self, event: fact.ReloadRefused) -> None:
        self._log.error(
            "configuration not reloaded, the old one holds; see celers check",
            problems=list(event.problems),
        )

    def quiet(self, event: fact.ClaimingStopped) -> None:
        self._log.warning("worker claims no more tasks", reason=event.reason, running=event.running)

    def resumed(self, event: fact.ClaimingResumed) -> None:
        self._log.info("worker claims tasks again", reason=event.reason)

    def stacks(self, event: fact.StacksTaken) -> None:
        self._log.warning("tasks that run", count=len(event.stacks))
        for stack in event.stacks:
            self._log.warning(
                "task runs",
                task=stack.name,
                id=str(stack.task_id),
                queue=stack.queue,
                seconds=round(stack.seconds, 1),
                runs=stack.runs,
                stack="\n".join(stack.frames) or "(it has not begun)",
            )
