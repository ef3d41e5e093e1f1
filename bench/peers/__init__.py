"""The peers beside ours: the same work, in turns, on one machine. ``make bench-peers``.

The rules, which are the same for all:

- The peers come from their registries in the versions of ``package.json`` and
  ``requirements.txt``. They are set up as their documentation advises for throughput, in one way
  for all scenarios (``node/`` and ``python/`` say how); so is ours, as docs/performance.md
  advises, and it archives each task.
- PostgreSQL is private, has its defaults and waits for the disk; the files of its log exist, as
  they do after an hour of work. Each scenario has a new database, a checkpoint behind it, and its
  rows counted (ANALYZE) before it is drained. Celery has a private Redis with an append-only file.
- A task carries a number and does nothing. All are enqueued before a drain. A lock on the table
  holds every worker process at its first claim; a drain is the time from the lock's release until
  no task is left unsettled in the table. So no start of an interpreter is in it, and every
  statement about a task is. At the end as many handlers must have run, and as many tasks be kept as
  completed, as were enqueued.
- CPU is what /proc counts for the worker with its children, and for the server with all its
  processes, in that time; WAL is how far the log grew.
- Latency is from the call that enqueues to the handler's first line, by the clock that processes
  share, on an idle worker.

contestants    who: where its tasks are, which program drives it
entrants       those who can run here, with their servers
installation   npm and pip, into .bench-peers
program        the programs in node/ and python/, run as processes
postgres       the server, the gate before a drain, its cost     redis    the same for Celery
scenarios      what is done with each
surroundings   millions of other tasks around them
limit          what pgbench can do
table          a column for each, and how many times better ours is
"""
