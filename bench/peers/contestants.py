"""The contestants: where their tasks are, and by which program of ours they are driven.

Their settings, those that their documentation advises for throughput, are in these programs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType

from bench.peers.contestant import Contestant, Tables
from bench.peers.surroundings import ORIGIN

_WORKER = (sys.executable, "-m", "celers_worker", "worker", "-A", "bench.tasks:app")

CELERS = Contestant(
    name="celers",
    title="celers",
    runtime="ours",
    program="run_celers.py",
    worker=(*_WORKER, "--log-level", "warning", "--concurrency", "250", "--prefetch", "2000"),
    tables=Tables(
        tasks="celers_tasks",
        last="SELECT id FROM celers_tasks ORDER BY id DESC LIMIT 1",
        waits="SELECT EXISTS (SELECT FROM celers_tasks WHERE id = %s)",
        unsettled=f"SELECT EXISTS (SELECT FROM celers_tasks WHERE id > {ORIGIN})",
        completed=f"SELECT count(*) FROM celers_task_archive"
        f" WHERE state = 'completed' AND id > {ORIGIN}",
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
        unsettled="SELECT EXISTS (SELECT FROM graphile_worker._private_jobs WHERE id > 0)",
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
        unsettled=f"SELECT EXISTS (SELECT FROM pgboss.job"
        f" WHERE state <> 'completed' AND name = 'nothing' AND id > {ORIGIN})",
        completed=f"SELECT count(*) FROM pgboss.job"
        f" WHERE state = 'completed' AND name = 'nothing' AND id > {ORIGIN}",
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
        unsettled="SELECT EXISTS (SELECT FROM pgqueuer WHERE id > 0)",
        completed="SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND job_id > 0",
    ),
)

OBAN = Contestant(
    name="oban",
    title="Oban for Python",
    runtime="python",
    program="run_oban.py",
    divisor=5,
    python=(3, 12),
    tables=Tables(
        tasks="oban_jobs",
        last="SELECT id FROM oban_jobs ORDER BY id DESC LIMIT 1",
        waits="SELECT state <> 'completed' FROM oban_jobs WHERE id = %s",
        unsettled="SELECT EXISTS (SELECT FROM oban_jobs WHERE state <> 'completed')",
        completed="SELECT count(*) FROM oban_jobs WHERE state = 'completed'",
    ),
)

PROCRASTINATE = Contestant(
    name="procrastinate",
    title="Procrastinate",
    runtime="python",
    program="run_procrastinate.py",
    divisor=5,
    tables=Tables(
        tasks="procrastinate_jobs",
        last="SELECT id FROM procrastinate_jobs ORDER BY id DESC LIMIT 1",
        waits="SELECT status <> 'succeeded' FROM procrastinate_jobs WHERE id = %s",
        unsettled="SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status <> 'succeeded')",
        completed="SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'",
    ),
)

CELERY = Contestant(
    name="celery",
    title="Celery + Redis",
    runtime="python",
    program="run_celery.py",
    server="redis",
    divisor=5,
)

CONTESTANTS: Mapping[str, Contestant] = MappingProxyType(
    {
        each.name: each
        for each in (CELERS, GRAPHILE_WORKER, PG_BOSS, PGQUEUER, OBAN, PROCRASTINATE, CELERY)
    }
)
