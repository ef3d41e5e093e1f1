"""What follows the end of one of several worker processes: nothing, another one, or the end of all.

    its supervisor is stopping                          Finished
    it drained, and ended well                          Finished
    an operator told it to stop                         Finished
    it never worked, nobody does, its code says why     GiveUp
    whatever else                                       Replace, after a pause if it died young

A process whose replacement is refused, because somebody has just broken the configuration, is tried
again: the others still work, and are worth more than a clear exit code.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeAlias

from celers_worker.core.backoff import Backoff

#: 1 s, 2 s, 4 s … after deaths in a row.
_PAUSE = Backoff(lambda deaths: 2.0 ** (deaths - 1), cap=timedelta(seconds=30))
#: One that lived so long did work, and is replaced at once.
_OLD = timedelta(minutes=1)
#: How a process ends that was told to stop: well, or before it could listen.
_OBEDIENT = (0, -signal.SIGTERM, -signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Exit:
    """The end of a process: ``code`` is negative for a signal, ``worked``: it had been ready.

    ``error``: why it could not even be started. ``worker``: the id that it worked under.
    ``leaving``: it was told to end for good.
    """

    pid: int
    code: int
    lived: timedelta
    worked: bool
    error: str | None = None
    worker: str | None = None
    leaving: bool = False

    @property
    def how(self) -> str:
        """``status 1``, ``SIGKILL``: what the log says of it."""
        if self.error is not None:
            return self.error
        return described(self.code)


def described(code: int) -> str:
    """Words for an exit code as subprocess has it: ``status 1``, ``SIGKILL``."""
    if code >= 0:
        return f"status {code}"
    known = code in {-number for number in signal.Signals}
    return signal.Signals(-code).name if known else f"signal {-code}"


@dataclass(frozen=True, slots=True)
class Finished:
    """Nobody takes its place; ``well``: it ended as it was asked to."""

    well: bool


@dataclass(frozen=True, slots=True)
class Replace:
    """Another one takes its place after ``pause``; ``deaths``: young ones in a row."""

    pause: timedelta
    deaths: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Everybody ends, and the supervisor with this code: no other try would end otherwise."""

    code: int


Verdict: TypeAlias = Finished | Replace | GiveUp


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts:
    """The rules for all processes of a supervisor.

    ``ends_by_itself``: it ends when there is nothing to do. ``hopeless``: the exit codes of a
    process that refuses to start, and has said why.
    """

    ends_by_itself: bool
    hopeless: frozenset[int]

    def verdict(self, ended: Exit, *, deaths: int, stopping: bool, alone: bool) -> Verdict:
        """What follows *ended*, whose *deaths* predecessors died young in a row.

        *stopping*: the supervisor has told it to end; *alone*: no other process works.
        """
        if stopping:
            return Finished(well=ended.code in _OBEDIENT)
        if ended.leaving:
            return Finished(well=ended.code == 0)
        if self.ends_by_itself and ended.code == 0:
            return Finished(well=True)
        if alone and not ended.worked and ended.code in self.hopeless:
            return GiveUp(ended.code)
        if ended.lived >= _OLD:
            return Replace(timedelta(0), 0)
        return Replace(_PAUSE.delay(deaths + 1), deaths + 1)
