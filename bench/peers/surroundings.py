"""A million tasks for tomorrow and a million finished ones, around those that are measured.

They are written by SQL, before the others are enqueued, and have smaller ids than any of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

#: Ids of surrounding tasks are below it; those of numbered ones are below 0.
ORIGIN = "'00000001-0000-0000-0000-000000000000'"
_ID = "('00000000-0000-0000-0000-' || lpad(to_hex(number), 12, '0'))::uuid"
_MILLION = "FROM generate_series(1, 1000000) AS number"

#: By contestant. graphile-worker deletes what it finished.
SURROUNDINGS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "celers": (
            f"""INSERT INTO celers_tasks (id, task_name, queue_name, payload, scheduled_at)
            SELECT {_ID}, 'nothing', 'default', '{{"number": 1}}', now() + interval '1 day'
            {_MILLION}""",
            f"""INSERT INTO celers_task_archive
                (id, task_name, queue_name, payload, state, started_at, completed_at)
            SELECT {_ID}, 'nothing', 'default', '{{"number": 1}}', 'completed', now(), now()
            {_MILLION}""",
        ),
        "graphile-worker": (
            "SELECT graphile_worker.add_job('nothing', run_at := now() + interval '1 day')",
            f"""INSERT INTO graphile_worker._private_jobs (id, task_id, payload, run_at)
            OVERRIDING SYSTEM VALUE
            SELECT -number, (SELECT id FROM graphile_worker._private_tasks),
                '{{"number": 1}}', now() + interval '1 day' {_MILLION}""",
            "DELETE FROM graphile_worker._private_jobs WHERE id > 0",
        ),
        "pg-boss": (
            f"""INSERT INTO pgboss.job (id, name, data, policy, start_after)
            SELECT {_ID}, 'nothing', '{{"number": 1}}', 'standard', now() + interval '1 day'
            {_MILLION}""",
            f"""INSERT INTO pgboss.job (id, name, data, policy, state, started_on, completed_on)
            SELECT {_ID.replace("number", "number + 1000000")}, 'nothing', '{{"number": 1}}',
                'standard', 'completed', now(), now() {_MILLION}""",
        ),
        "pgqueuer": (
            f"""INSERT INTO pgqueuer (id, priority, status, entrypoint, payload, execute_after)
            SELECT -number, 0, 'queued', 'nothing', '{{"number": 1}}', now() + interval '1 day'
            {_MILLION}""",
            f"""INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated)
            SELECT -number, 'successful', 0, 'nothing', true {_MILLION}""",
        ),
    }
)
