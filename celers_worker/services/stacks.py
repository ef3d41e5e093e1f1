"""Where the running tasks are: their stacks, taken from outside the event loop."""

from __future__ import annotations

import asyncio
import sys
import time
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from celers_worker.core.process_events import TaskStack
from celers_worker.services.run import Run

#: Frames of our own around a handler are no news.
_OURS = str(Path(__file__).parent)
#: So many of the innermost frames are told.
_DEPTH = 60


def stacks_of(runs: Iterable[Run], *, loop_thread: int) -> list[TaskStack]:
    """The stacks of *runs*, in the order of their start. Safe in any thread.

    *loop_thread*: where the loop runs: a handler that has the loop is seen in that thread's stack.
    """
    threads = sys._current_frames()
    now = time.monotonic()
    return [
        TaskStack(
            run.task.id,
            run.task.name,
            run.task.queue,
            now - run.started if run.execution is not None else 0.0,
            run.handler.runs,
            _frames(run, threads, loop_thread),
        )
        for run in sorted(runs, key=lambda run: run.started)
    ]


def _frames(run: Run, threads: dict[int, FrameType], loop_thread: int) -> list[str]:
    if run.execution is None or run.execution.done():
        return []
    if run.thread is not None and (frame := threads.get(run.thread_id)) is not None:
        return _told(_outwards(frame))
    suspended = _told(_inwards(run.execution))
    if suspended:
        return suspended
    frame = threads.get(loop_thread)  # it has the loop just now
    return _told(_outwards(frame)) if frame is not None else []


def _inwards(execution: asyncio.Task[Any]) -> list[tuple[FrameType, int]]:
    """The frames of a suspended task: asyncio itself tells only the outermost."""
    frames: list[tuple[FrameType, int]] = []
    awaited: Any = execution.get_coro()
    while awaited is not None:
        frame = (
            getattr(awaited, "cr_frame", None)
            or getattr(awaited, "gi_frame", None)
            or getattr(awaited, "ag_frame", None)
        )
        if frame is not None:
            frames.append((frame, frame.f_lineno))
        awaited = (
            getattr(awaited, "cr_await", None)
            or getattr(awaited, "gi_yieldfrom", None)
            or getattr(awaited, "ag_await", None)
        )
    return frames


def _outwards(frame: FrameType) -> list[tuple[FrameType, int]]:
    return list(traceback.walk_stack(frame))[::-1]


def _told(frames: list[tuple[FrameType, int]]) -> list[str]:
    """Name *frames*, without ours and whatever is around them."""
    ours = [at for at, (frame, _) in enumerate(frames) if _is_ours(frame)]
    handlers = frames[ours[-1] + 1 :] if ours else frames
    return [
        f"{frame.f_code.co_filename}:{line} {frame.f_code.co_qualname}"
        for frame, line in handlers[-_DEPTH:]
    ]


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith(_OURS)
