"""What PostgreSQL can do here: pgbench claims and deletes, each by one statement and one commit.

It keeps no finished task, checks no lease and waits for no handler. No queue with as large batches
on as many connections can do better.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg

from bench.figures import Figures
from bench.peers.contestant import Trouble
from bench.peers.postgres import Place

#: Single rows are added for so many seconds.
SPAN = 3
#: Seconds after which the server has the CPU time of sessions that ended.
GONE = 0.2
TABLE = """CREATE TABLE claims (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    state text NOT NULL DEFAULT 'pending',
    lease bigint NOT NULL DEFAULT 0,
    started_at timestamptz,
    payload text NOT NULL
);
CREATE INDEX claims_pending ON claims (id) WHERE state = 'pending'"""
INSERT = """INSERT INTO claims (payload) VALUES ('{"number": 1}');"""
# \gset keeps the columns of the answer as variables: what a worker needs reaches the client.
CLAIM_AND_DELETE = r"""WITH claimed AS (
    UPDATE claims SET state = 'processing', lease = lease + 1, started_at = now()
    WHERE id = ANY (ARRAY(
        SELECT id FROM claims WHERE state = 'pending'
        ORDER BY id LIMIT BATCH FOR UPDATE SKIP LOCKED))
    RETURNING id, payload
)
SELECT array_agg(id) AS ids, array_agg(payload) AS payloads FROM claimed \gset
DELETE FROM claims WHERE id = ANY (:ids ::bigint[]);"""


@dataclass(frozen=True, slots=True)
class Limit:
    """pgbench with batches of one size; its methods are scenarios."""

    batch: int

    def drain(self, place: Place, tasks: int) -> Figures:
        """One client claims and deletes, batch after batch."""
        seconds = _fill(place, tasks)
        written, server = place.written_bytes(), place.cpu_seconds()
        rate = self._drain(place, tasks, clients=1)
        time.sleep(GONE)
        server = place.cpu_seconds() - server
        return {
            "bulk enqueue": tasks / seconds,
            "drain, 1 process": rate,
            "server CPU": server / tasks * 10_000,
            "WAL": (place.written_bytes() - written) / tasks,
        }

    def drain_by_two(self, place: Place, tasks: int) -> Figures:
        """Two clients do."""
        _fill(place, tasks)
        return {"drain, 2 processes": self._drain(place, tasks, clients=2)}

    def single(self, place: Place, tasks: int) -> Figures:
        """One client inserts rows, and commits each."""
        _create(place)
        return {"single enqueue": _pgbench(place.url, INSERT, f"--time={SPAN}")}

    def _drain(self, place: Place, tasks: int, *, clients: int) -> float:
        """Tasks a second."""
        return self.batch * _pgbench(
            place.url,
            CLAIM_AND_DELETE.replace("BATCH", str(self.batch)),
            f"--transactions={tasks // self.batch // clients}",
            f"--client={clients}",
            f"--jobs={clients}",
        )


def _create(place: Place) -> None:
    with psycopg.connect(place.url, autocommit=True) as connection:
        connection.execute(TABLE)


def _fill(place: Place, tasks: int) -> float:
    """How many seconds one COPY of all of them took."""
    _create(place)
    rows = "".join(f'{{"number": {number}}}\n' for number in range(tasks))
    with psycopg.connect(place.url, autocommit=True) as connection:
        began = time.perf_counter()
        with connection.cursor().copy("COPY claims (payload) FROM STDIN") as copy:
            copy.write(rows)
        seconds = time.perf_counter() - began
    place.settle_down()
    return seconds


def _pgbench(url: str, script: str, *options: str) -> float:
    """Transactions a second."""
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [pgbench(), "--no-vacuum", "--protocol=prepared", f"--file={file.name}", *options]
        done = subprocess.run([*command, url], capture_output=True, text=True)
    rate = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
    if done.returncode or rate is None:
        raise Trouble(f"pgbench failed: {done.stderr}")
    return float(rate[1])


def pgbench() -> str:
    """Its path: some distributions keep it with the server, out of PATH. May raise Trouble."""
    beside = sorted(Path("/usr/lib/postgresql").glob("*/bin/pgbench"))
    found = shutil.which("pgbench") or (str(beside[-1]) if beside else None)
    if found is None:
        raise Trouble("pgbench is not installed")
    return found
