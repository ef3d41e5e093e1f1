"""A selftest: a place of its own, a campaign in it, and what came of it."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from celers_worker.config import Config
from celers_worker.selftest.campaign import LEASE, REAP, Campaign, Stuck, config_for
from celers_worker.selftest.checker import judge, recoveries
from celers_worker.selftest.evidence import Evidence, Problem, Promise, Verdict, runs_of
from celers_worker.selftest.faults import FAULTS, SESSIONS
from celers_worker.selftest.tasks import QUEUE
from celers_worker.store import (
    DirectStore,
    StoreOptions,
    evidence,
    history,
    make_direct_store,
    migrate,
    server,
)
from celers_worker.store.premises import Place, premises

#: What is promised from a worker's death to the next run of its tasks, in seconds.
PROMISED = LEASE + REAP
#: On a busy machine the worker that takes over may have to start first; later it is a fault.
_LATE = PROMISED + 30
_WORST_FIRST = list(Promise)
#: Seconds between two faults.
_PAUSES = (0.2, 0.8)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done, and what was found."""

    server: str
    place: str
    faults: Mapping[str, int]
    verdict: Verdict
    #: Writes of leases that had ended, which changed nothing.
    refused: int
    #: Seconds; None: nobody died in the middle of a task.
    longest_recovery: float | None


def selftest(
    config: Config, *, seconds: float, here: bool = False, tell: Callable[[str], None]
) -> Report:
    """Work and harm for so many seconds and until each fault was done once; then judge.

    *tell* hears what goes on. Raises StoreError and ConfigurationError if there is no place for it.
    """
    options = StoreOptions(
        connect_timeout=config.database.connect_timeout,
        call_timeout=max(config.database.call_timeout, timedelta(seconds=30)),
        pooled=config.database.pooler == "transaction",
    )
    with premises(config.database.url, options, here=here) as place:
        tell(f"working in {place.told}, which is erased afterwards")
        with make_direct_store(place.url, options) as store, _folder() as folder:
            found = _prepared(store)
            with Campaign(place, store, config_for(config, place), folder) as campaign:
                faults = _harm(campaign, seconds, tell)
                tell("waiting for the last tasks")
                campaign.finish()
            verdict, longest = _judged(campaign)
            refused = len(campaign.notebook.said("refused"))
        tell("erasing what is left of it")
    return Report(
        server=found,
        place=place.told,
        faults=faults,
        verdict=verdict,
        refused=refused,
        longest_recovery=longest,
    )


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="celers-selftest-") as name:
        yield Path(name)


def _prepared(store: DirectStore) -> str:
    """Make the tables and the audit trail, and say which server it is."""
    migrate.upgrade(store)
    store.run(history.switch_on, QUEUE)
    store.run(evidence.make_room)
    return str(store.run(lambda transaction: server.server_of(transaction.connection)))


def _harm(campaign: Campaign, seconds: float, tell: Callable[[str], None]) -> Counter[str]:
    faults: Counter[str] = Counter()
    end = time.monotonic() + seconds
    for name in _names(campaign):
        if time.monotonic() > end and len(faults) >= len(_possible(campaign.place)):
            break
        tell(f"{name} ({sum(faults.values()):,} faults so far)")
        try:
            faults[name] += FAULTS[name](campaign)
        except Stuck as error:
            campaign.complain(f"{name}: {error}")
            break
        campaign.replace_the_dead()
        time.sleep(campaign.chance.uniform(*_PAUSES))
    return faults


def _possible(place: Place) -> list[str]:
    return [name for name in FAULTS if place.sessions or name != SESSIONS]


def _names(campaign: Campaign) -> Iterator[str]:
    """Every fault once, then again, each time in another order."""
    while True:
        names = _possible(campaign.place)
        campaign.chance.shuffle(names)
        yield from names


def _judged(campaign: Campaign) -> tuple[Verdict, float | None]:
    accounts: dict[str, set[UUID]] = {
        "sent": set(campaign.sent),
        "acknowledged": set(campaign.acknowledged),
    }
    for kind, ids in accounts.items():
        for words in campaign.notebook.said(kind):
            ids.update(map(UUID, words))
    runs = runs_of(campaign.notebook.lines)
    sent = frozenset(accounts["sent"])
    verdict = judge(
        Evidence(
            recorded=campaign.store.run(evidence.recorded, QUEUE),
            runs=runs,
            acknowledged=frozenset(accounts["acknowledged"]),
            sent=sent,
            frozen=frozenset(campaign.frozen),
            telling=sent,
        )
    )
    taken = recoveries(runs, campaign.deaths)
    longest = max(taken, default=None)
    found = [*verdict.found, *_others(campaign.complaints, longest)]
    found.sort(key=lambda problem: _WORST_FIRST.index(problem.promise))
    return replace(verdict, found=found), longest


def _others(complaints: Sequence[str], longest: float | None) -> Iterator[Problem]:
    for text in complaints:
        yield Problem(Promise.OTHERWISE, text)
    if longest is not None and longest > _LATE:
        text = f"a task of a dead worker ran again after {longest:.1f} s, promised are {PROMISED:g}"
        yield Problem(Promise.OTHERWISE, text)
