"""The contestants: where their tasks are, and by which program of ours they are driven.

Their settings, those that their documentation advises for throughput, are in these programs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType

from bench.peers.contestant import Contestant, Tables

_WORKER = (sys.executable, "-m", "celers_worker", "worker", "-A", "bench.tasks:app")

CELERS = Contestant(
    name="celers",
    title="celers",
    runtime="ours",
    program="run_celers.py",
    worker=(*_WORKER, "--log-level", "warning"),
    tables=Tables(
        tasks="celers_tasks",
        last="SELECT id FROM celers_tasks ORDER BY scheduled_at DESC, id DESC LIMIT 1",
        waits="SELECT EXISTS (SELECT FROM celers_tasks WHERE id = %s)",
        unsettled="SELECT EXISTS (SELECT FROM celers_tasks)",
        completed="SELECT count(*) FROM celers_task_archive WHERE state = 'completed'",
    ),
)

GRAPHILE_WORKER = Contestant(
    name="graphile-worker",
    title="graphile-worker",
    runtime="node",
    program="run_graphile_worker.mjs",
    tables=Tables(
        tasks="graphile_worker._private_jobs",
        last="SELECT id FROM graphile_worker._private_jobs ORDER BY id DESC LIMIT 1",
        waits="SELECT EXISTS (SELECT FROM graphile_worker._private_jobs WHERE id = %s)",
        unsettled="SELECT EXISTS (SELECT FROM graphile_worker._private_jobs)",
    ),
)

PG_BOSS = Contestant(
    name="pg-boss",
    title="pg-boss",
    runtime="node",
    program="run_pg_boss.mjs",
    tables=Tables(
        tasks="pgboss.job",
        last="SELECT id FROM pgboss.job WHERE name = 'nothing'"
        " ORDER BY created_on DESC, id DESC LIMIT 1",
        waits="SELECT state <> 'completed' FROM pgboss.job WHERE name = 'nothing' AND id = %s",
        unsettled="SELECT EXISTS (SELECT FROM pgboss.job"
        " WHERE state <> 'completed' AND name = 'nothing')",
        completed="SELECT count(*) FROM pgboss.job WHERE state = 'completed' AND name = 'nothing'",
    ),
)

PGQUEUER = Contestant(
    name="pgqueuer",
    title="PgQueuer",
    runtime="python",
    program="run_pgqueuer.py",
    tables=Tables(
        tasks="pgqueuer",
        last="SELECT id FROM pgqueuer ORDER BY id DESC LIMIT 1",
        waits="SELECT EXISTS (SELECT FROM pgqueuer WHERE id = %s)",
        unsettled="SELECT EXISTS (SELECT FROM pgqueuer)",
        completed="SELECT count(*) FROM pgqueuer_log WHERE status = 'successful'",
    ),
)

CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {each.name: each for each in (CELERS, GRAPHILE_WORKER, PG_BOSS, PGQUEUER)}
)
