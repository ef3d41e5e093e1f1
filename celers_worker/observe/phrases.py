"""The sentences of the usual level: what an operator wants to know in the morning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celers_worker.core import control_events as control
from celers_worker.core import events as fact
from celers_worker.core.outcome import Cancelled, Completed, Dead, Expired, Outcome, Release, Retry
from celers_worker.core.task import Task
from celers_worker.core.watch_events import PoolerSuspected, RunLogsLost
from celers_worker.observe.wording import of, word


class Phrases:
    """What is said at info and above."""

    EVENTS: Mapping[type, str] = {
        fact.WorkerStarted: "started",
        fact.WorkerStopping: "stopping",
        fact.WorkerStopped: "stopped",
        fact.SupervisorStarted: "supervising",
        fact.ProcessDied: "died",
        fact.SupervisorStopping: "ending",
        fact.SupervisorStopped: "ended",
        fact.TasksSettled: "settled",
        fact.SettleRefused: "refused",
        fact.OutcomeIgnored: "ignored",
        fact.HookFailed: "hook_failed",
        fact.TaskParked: "parked",
        fact.LeasesLost: "lost",
        fact.TaskAbandoned: "abandoned",
        fact.ChildEnded: "lost_process",
        fact.TasksReaped: "reaped",
        fact.FrozenSessionsEnded: "frozen",
        fact.TasksRecovered: "recovered",
        fact.WorkflowsTimedOut: "timed_out",
        fact.SchedulesDeclared: "declared",
        fact.TicksMissed: "missed",
        fact.TicksOverlapped: "overlapped",
        fact.ScheduleUnreadable: "unreadable",
        fact.ServiceFailed: "failed",
        fact.ServiceRecovered: "back",
        fact.LoopBlocked: "blocked",
        fact.LoopGivenUp: "given_up",
        control.WorkerDirected: "directed",
        control.HandlerHeld: "held",
        control.HandlerFreed: "freed",
        control.CircuitOpened: "opened",
        control.CircuitProbed: "probed",
        control.CircuitClosed: "closed",
        RunLogsLost: "logs_lost",
        PoolerSuspected: "pooler",
    }

    def __init__(self, log: Any) -> None:
        self._log = log
        self._parked: set[str] = set()

    def started(self, event: fact.WorkerStarted) -> None:
        self._log.info(
            "worker started",
            worker=event.worker,
            name=event.name,
            database=event.database,
            queues=list(event.queues) or "all",
            handlers=event.handlers,
            concurrency=event.concurrency,
        )

    def stopping(self, event: fact.WorkerStopping) -> None:
        self._log.info("worker stopping", reason=event.reason, running=event.running)

    def stopped(self, event: fact.WorkerStopped) -> None:
        self._log.info(
            "worker stopped",
            released=event.released,
            abandoned=event.abandoned,
            seconds=round(event.seconds, 3),
        )

    def supervising(self, event: fact.SupervisorStarted) -> None:
        self._log.info("supervisor started", processes=event.processes)

    def died(self, event: fact.ProcessDied) -> None:
        self._log.error(
            "worker process died, will be replaced",
            process=event.name,
            pid=event.pid,
            exit=event.how,
            seconds=round(event.seconds, 1),
            again_in=event.again_in,
        )

    def ending(self, event: fact.SupervisorStopping) -> None:
        self._log.info("supervisor stopping", reason=event.reason, running=event.running)

    def ended(self, event: fact.SupervisorStopped) -> None:
        tell = self._log.error if event.killed else self._log.info
        tell("supervisor stopped", killed=list(event.killed), seconds=round(event.seconds, 3))

    def settled(self, event: fact.TasksSettled) -> None:
        for settlement in event.settlements:
            if type(settlement.outcome) is not Completed:  # most are, and there is nothing to say
                self._tell(settlement.task, settlement.outcome)

    def refused(self, event: fact.SettleRefused) -> None:
        for settlement in event.settlements:
            self._log.warning(
                "outcome refused: the lease was lost",
                outcome=word(settlement.outcome),
                **of(settlement.task),
            )

    def ignored(self, event: fact.OutcomeIgnored) -> None:
        outcome = event.settlement.outcome
        self._log.warning(
            "task had been completed by its transaction: what its handler did later is not kept",
            hint="pass the result to context.complete() inside the block"
            if isinstance(outcome, Completed)
            else None,
            outcome=word(outcome),
            error=str(getattr(outcome, "failure", "")) or None,
            **of(event.settlement.task),
        )

    def hook_failed(self, event: fact.HookFailed) -> None:
        self._log.error(
            "hook of a middleware failed",
            middleware=event.middleware,
            error=f"{type(event.error).__name__}: {event.error}",
        )

    def parked(self, event: fact.TaskParked) -> None:
        # Once a name: a thousand tasks of a name that nobody knows are one mistake.
        if event.task.name not in self._parked:
            self._parked.add(event.task.name)
            self._log.warning(
                "tasks parked: no handler has their name",
                hint=event.suggestion.strip() or None,
                **of(event.task),
            )

    def logs_lost(self, event: RunLogsLost) -> None:
        self._log.error(
            "logs of handlers cannot be kept",
            tasks=len(event.tasks),
            error=f"{type(event.error).__name__}: {event.error}",
        )

    def pooler(self, event: PoolerSuspected) -> None:
        self._log.warning(
            "a connection pooler seems to stand before the database",
            hint='set pooler = "transaction" in [database], or connect past it',
            sign=event.sign,
            database=event.database,
        )

    def lost(self, event: fact.LeasesLost) -> None:
        self._log.error("leases lost", tasks=len(event.tasks), reason=event.reason)

    def abandoned(self, event: fact.TaskAbandoned) -> None:
        self._log.error("handler did not stop", reason=event.reason, **of(event.task))

    def lost_process(self, event: fact.ChildEnded) -> None:
        # Those that ended between two runs are the debug level's.
        if event.task is not None:
            self._log.error(
                "process of a handler ended", pid=event.pid, why=event.why, **of(event.task)
            )

    def reaped(self, event: fact.TasksReaped) -> None:
        self._log.warning(
            "tasks of lost workers taken back",
            released=len(event.released),
            buried=[str(task_id) for task_id in event.buried],
        )

    def frozen(self, event: fact.FrozenSessionsEnded) -> None:
        self._log.warning("database sessions of frozen clients ended", sessions=event.count)

    def recovered(self, event: fact.TasksRecovered) -> None:
        self._log.warning("tasks of a claim without an answer given back", tasks=event.count)

    def timed_out(self, event: fact.WorkflowsTimedOut) -> None:
        self._log.warning(
            "workflows stopped at their timeouts", workflows=[str(one) for one in event.workflows]
        )

    def declared(self, event: fact.SchedulesDeclared) -> None:
        self._log.info("schedules declared", schedules=list(event.names))

    def missed(self, event: fact.TicksMissed) -> None:
        self._log.warning(
            "ticks missed, given up",
            schedule=event.schedule,
            since=event.since.isoformat(),
            until=event.until.isoformat(),
        )

    def overlapped(self, event: fact.TicksOverlapped) -> None:
        self._log.info(
            "ticks given up: the last task has not ended",
            schedule=event.schedule,
            ticks=event.count,
        )

    def unreadable(self, event: fact.ScheduleUnreadable) -> None:
        self._log.error(
            "schedule left alone: it cannot be read here",
            schedule=event.schedule,
            problem=event.problem,
        )

    def failed(self, event: fact.ServiceFailed) -> None:
        # The first, and then ever fewer: an outage must not fill the disk.
        if event.failures & (event.failures - 1) == 0:
            self._log.error(
                "service failed, will be tried again",
                service=event.service,
                error=f"{type(event.error).__name__}: {event.error}",
                failures=event.failures,
                again_in=round(event.retry_in, 2),
            )

    def back(self, event: fact.ServiceRecovered) -> None:
        self._log.info("service works again", service=event.service, failures=event.failures)

    def blocked(self, event: fact.LoopBlocked) -> None:
        self._log.error(
            "the event loop is blocked by a handler",
            seconds=round(event.seconds, 1),
            at=list(event.suspects),
        )

    def given_up(self, event: fact.LoopGivenUp) -> None:
        self._log.error(
            "the event loop never came back: this process ends",
            seconds=round(event.seconds, 1),
            at=list(event.suspects),
            **({} if event.task is None else of(event.task)),
        )

    def directed(self, event: control.WorkerDirected) -> None:
        self._log.info(
            "worker follows an order",
            state=event.state,
            concurrency=event.concurrency,
            by=event.by,
        )

    def held(self, event: control.HandlerHeld) -> None:
        self._log.warning("tasks of a handler are held", task=event.handler, why=event.why)

    def freed(self, event: control.HandlerFreed) -> None:
        self._log.info("tasks of a handler run again", task=event.handler)

    def opened(self, event: control.CircuitOpened) -> None:
        self._log.error(
            "circuit opened: nearly every run of the handler fails",
            task=event.handler,
            error=event.error,
            tried_in=event.rest,
        )

    def probed(self, event: control.CircuitProbed) -> None:
        self._log.info(
            "one task is tried while the circuit is open", task=event.handler, id=str(event.task)
        )

    def closed(self, event: control.CircuitClosed) -> None:
        self._log.info("circuit closed: the task that was tried completed", task=event.handler)

    def _tell(self, task: Task, outcome: Outcome) -> None:
        match outcome:
            case Completed() | Release():
                pass
            case Retry():
                self._log.warning(
                    "task failed, will be tried again",
                    error=str(outcome.failure),
                    again_in=round(outcome.delay.total_seconds(), 1),
                    **of(task),
                )
            case Dead():
                self._log.error(
                    "task is dead",
                    reason=outcome.reason,
                    error=str(outcome.failure),
                    **of(task),
                )
            case Cancelled():
                self._log.info("task cancelled", reason=outcome.reason, **of(task))
            case Expired():
                self._log.info("task expired before it was started", **of(task))
