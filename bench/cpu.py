"""CPU time of processes, as Linux counts it in /proc: in hundredths of a second."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def seconds_of(roots: Iterable[int]) -> float:
    """What these processes and their descendants used, those that ended and were waited for too."""
    children = defaultdict(list)
    ticks = {}
    for pid, (parent, used) in _all_processes():
        children[parent].append(pid)
        ticks[pid] = used
    tree = list(roots)
    for pid in tree:  # grows as it is walked
        tree += children[pid]
    return sum(ticks.get(pid, 0) for pid in tree) / TICKS


def _all_processes() -> Iterable[tuple[int, tuple[int, int]]]:
    """Each process with its parent and its ticks. Field 4 of ``stat``, and 14 to 17: user and
    system time, of its own and of children it waited for.
    """
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()  # a name may hold spaces
        except OSError:
            continue  # it just ended: its parent has its time
        yield int(file.parent.name), (int(fields[1]), sum(map(int, fields[11:15])))
