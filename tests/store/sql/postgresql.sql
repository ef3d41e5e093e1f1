-- Written by `make sql` from celers_worker/store: do not edit.

-- INSERT_TASKS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, 'pending', :new_priority::INTEGER,
    :new_max_retries::INTEGER, statement_timestamp(), coalesce(:new_at::TIMESTAMP WITH TIME ZONE,
    (statement_timestamp() + make_interval(secs => :new_delay))), :new_metadata::JSONB, :new_queue::VARCHAR,
    :new_timeout, (statement_timestamp() + make_interval(secs => :new_expires)), :new_unique_key::VARCHAR,
    :new_fingerprint::VARCHAR);

-- INSERT_TASKS_UNLESS_KNOWN
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, 'pending', :new_priority::INTEGER,
    :new_max_retries::INTEGER, statement_timestamp(), coalesce(:new_at::TIMESTAMP WITH TIME ZONE,
    (statement_timestamp() + make_interval(secs => :new_delay))), :new_metadata::JSONB, :new_queue::VARCHAR,
    :new_timeout, (statement_timestamp() + make_interval(secs => :new_expires)), :new_unique_key::VARCHAR,
    :new_fingerprint::VARCHAR)
ON CONFLICT DO NOTHING;

-- INSERT_ROWS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, :new_state::VARCHAR, :new_priority::INTEGER,
    :new_max_retries::INTEGER, :new_created_at::TIMESTAMP WITH TIME ZONE,
    :new_scheduled_at::TIMESTAMP WITH TIME ZONE, :new_metadata::JSONB, :new_queue::VARCHAR, :new_timeout,
    :new_expires_at::TIMESTAMP WITH TIME ZONE, :new_unique_key::VARCHAR, :new_fingerprint::VARCHAR);

-- INSERT_ROWS_UNLESS_KNOWN
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, :new_state::VARCHAR, :new_priority::INTEGER,
    :new_max_retries::INTEGER, :new_created_at::TIMESTAMP WITH TIME ZONE,
    :new_scheduled_at::TIMESTAMP WITH TIME ZONE, :new_metadata::JSONB, :new_queue::VARCHAR, :new_timeout,
    :new_expires_at::TIMESTAMP WITH TIME ZONE, :new_unique_key::VARCHAR, :new_fingerprint::VARCHAR)
ON CONFLICT DO NOTHING;

-- NOW
SELECT statement_timestamp() AS now_1;

-- IDS_OF_UNIQUE_KEYS
SELECT celers_tasks.unique_key, celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.unique_key IN (:keys, …);

-- KNOWN_IDS
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
UNION ALL
SELECT celers_task_archive.id
FROM celers_task_archive
WHERE celers_task_archive.id IN (:ids, …)
UNION ALL
SELECT celers_dead_letter_queue.id
FROM celers_dead_letter_queue
WHERE celers_dead_letter_queue.id IN (:ids, …);

-- DUE
SELECT celers_tasks.id, celers_tasks.lease + :lease_1::BIGINT AS lease, celers_tasks.task_name,
    celers_tasks.queue_name, celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count,
    celers_tasks.crash_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    statement_timestamp() AS started_at, celers_tasks.timeout,
    coalesce(celers_tasks.expires_at <= statement_timestamp(), :param_1) AS expired, celers_tasks.metadata
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue::VARCHAR
  AND celers_tasks.priority = :at_priority::INTEGER
  AND celers_tasks.scheduled_at >= :mark::TIMESTAMP WITH TIME ZONE
  AND celers_tasks.scheduled_at <= statement_timestamp()
  AND (celers_tasks.task_name NOT IN (:excluded, …))
  AND NOT (EXISTS (SELECT *
        FROM celers_queues
        WHERE celers_queues.name = :queue::VARCHAR
          AND celers_queues.paused_at IS NOT NULL))
ORDER BY celers_tasks.scheduled_at, celers_tasks.id
LIMIT :room::INTEGER FOR UPDATE SKIP LOCKED;

-- LEASE
UPDATE celers_tasks
SET state='processing', started_at=statement_timestamp(), worker_id=:worker::VARCHAR,
    lease=(celers_tasks.lease + :lease_1::BIGINT)
WHERE celers_tasks.id IN (:ids, …);

-- HELD
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
ORDER BY celers_tasks.id FOR UPDATE;

-- ARCHIVE[completed]
INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'completed', celers_tasks.priority,
    celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    celers_tasks.started_at, statement_timestamp() AS now_1, celers_tasks.worker_id,
    coalesce(:message::VARCHAR, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
    celers_tasks.queue_name, celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout,
    celers_tasks.expires_at, celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id,
    celers_tasks.chord_id, celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- ARCHIVE[cancelled]
INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'cancelled', celers_tasks.priority,
    celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    celers_tasks.started_at, statement_timestamp() AS now_1, celers_tasks.worker_id,
    coalesce(:message::VARCHAR, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
    celers_tasks.queue_name, celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout,
    celers_tasks.expires_at, celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id,
    celers_tasks.chord_id, celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- ARCHIVE[expired]
INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'expired', celers_tasks.priority,
    celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    celers_tasks.started_at, statement_timestamp() AS now_1, celers_tasks.worker_id,
    coalesce(:message::VARCHAR, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
    celers_tasks.queue_name, celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout,
    celers_tasks.expires_at, celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id,
    celers_tasks.chord_id, celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- DELETE_TASKS
DELETE FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- BURY
INSERT INTO celers_dead_letter_queue (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason, failed_at, reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'failed', celers_tasks.priority,
    celers_tasks.retry_count + :failed::INTEGER AS anon_1, celers_tasks.max_retries, celers_tasks.created_at,
    celers_tasks.scheduled_at, celers_tasks.started_at, statement_timestamp() AS now_1,
    celers_tasks.worker_id, :message::VARCHAR AS anon_2, celers_tasks.metadata, celers_tasks.queue_name,
    celers_tasks.lease, celers_tasks.crash_count + :crashed::INTEGER AS anon_3, celers_tasks.timeout,
    celers_tasks.expires_at, celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id,
    celers_tasks.chord_id, celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason, statement_timestamp() AS now_2, :why::VARCHAR AS anon_4
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- INSERT_RESULT
INSERT INTO celers_task_results (task_id, result, created_at)
VALUES (:of_task::UUID, :value, statement_timestamp());

-- INSERT_ATTEMPT
INSERT INTO celers_task_attempts (task_id, lease, attempt, worker_id, started_at, failed_at, error_type,
    error_message, traceback)
VALUES (:of_task::UUID, :with_lease::BIGINT, :number::INTEGER, :worker::VARCHAR,
    :since::TIMESTAMP WITH TIME ZONE, statement_timestamp(), :kind::VARCHAR, :message::VARCHAR,
    :trace::VARCHAR)
ON CONFLICT DO NOTHING;

-- RETRY
UPDATE celers_tasks
SET state='pending', retry_count=(celers_tasks.retry_count + :retry_count_1::INTEGER),
    scheduled_at=(statement_timestamp() + make_interval(secs => :wait)), started_at=NULL, worker_id=NULL,
    error_message=:message::VARCHAR, lease=(celers_tasks.lease + :lease_1::BIGINT)
WHERE celers_tasks.id = :task_id::UUID;

-- RELEASE
UPDATE celers_tasks
SET state='pending', scheduled_at=coalesce((statement_timestamp() + make_interval(secs => :wait)),
    celers_tasks.scheduled_at), started_at=NULL, worker_id=NULL, error_message=coalesce(:message::VARCHAR,
    celers_tasks.error_message), lease=(celers_tasks.lease + :lease_1::BIGINT)
WHERE celers_tasks.id = :task_id::UUID;

-- RELEASE_CRASHED
UPDATE celers_tasks
SET state='pending', started_at=NULL, worker_id=NULL, error_message=:message::VARCHAR,
    lease=(celers_tasks.lease + :lease_1::BIGINT),
    crash_count=(celers_tasks.crash_count + :crash_count_1::INTEGER)
WHERE celers_tasks.id = :task_id::UUID;

-- sweep of two queues
WITH RECURSIVE each AS (SELECT CAST(:queue_0 AS VARCHAR(128)) AS queue_name
    UNION ALL
    SELECT CAST(:queue_1 AS VARCHAR(128)) AS queue_name), level(queue_name,
        priority) AS (SELECT each.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = each.queue_name
        ORDER BY t.priority DESC
        LIMIT :param_2::INTEGER) AS priority
    FROM each
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_3::INTEGER) AS anon_1
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1::INTEGER),
            (statement_timestamp() + make_interval(secs => 3155760000))) AS first_due_at,
            statement_timestamp() AS now
FROM level
WHERE level.priority IS NOT NULL;

-- sweep of every queue
WITH RECURSIVE each(queue_name) AS (SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
        ORDER BY every.queue_name
        LIMIT :param_3::INTEGER) AS queue_name
    UNION ALL
    SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
          AND every.queue_name > each.queue_name
        ORDER BY every.queue_name
        LIMIT :param_4::INTEGER) AS anon_1
    FROM each
    WHERE each.queue_name IS NOT NULL), level(queue_name, priority) AS (SELECT each.queue_name AS queue_name,
        (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = each.queue_name
        ORDER BY t.priority DESC
        LIMIT :param_2::INTEGER) AS priority
    FROM each
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_5::INTEGER) AS anon_2
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1::INTEGER),
            (statement_timestamp() + make_interval(secs => 3155760000))) AS first_due_at,
            statement_timestamp() AS now
FROM level
WHERE level.priority IS NOT NULL;

-- FIRST_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
ORDER BY celers_tasks.queue_name
LIMIT :param_1::INTEGER;

-- NEXT_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name > :queue::VARCHAR
ORDER BY celers_tasks.queue_name
LIMIT :param_1::INTEGER;

-- TOP_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue::VARCHAR
ORDER BY celers_tasks.priority DESC
LIMIT :param_1::INTEGER;

-- NEXT_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue::VARCHAR
  AND celers_tasks.priority < :at_priority::INTEGER
ORDER BY celers_tasks.priority DESC
LIMIT :param_1::INTEGER;

-- FIRST_OF_LEVEL
SELECT least(celers_tasks.scheduled_at,
    (statement_timestamp() + make_interval(secs => 3155760000))) AS earlier_1, statement_timestamp() AS now_1
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue::VARCHAR
  AND celers_tasks.priority = :at_priority::INTEGER
ORDER BY celers_tasks.scheduled_at
LIMIT :param_1::INTEGER;

-- UNADOPTED_TASKS
SELECT celers_tasks.id, celers_tasks.metadata
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue_name_1::VARCHAR
LIMIT :param_1::INTEGER FOR UPDATE SKIP LOCKED;

-- ADOPT
UPDATE celers_tasks
SET queue_name=:to_queue::VARCHAR, timeout=:to_timeout, group_id=:to_group::VARCHAR,
    chord_id=:to_chord::VARCHAR
WHERE celers_tasks.id = :task_id::UUID;

-- REGISTER_WORKER
INSERT INTO celers_workers (id, name, host, pid, version, queues, handlers, concurrency, started_at,
    heartbeat_at, expires_at)
VALUES (:worker::VARCHAR, :label::VARCHAR, :on_host::VARCHAR, :process::INTEGER, :of_version::VARCHAR,
    :serves::JSONB, :knows::JSONB, :permits::INTEGER, statement_timestamp(), statement_timestamp(),
    (statement_timestamp() + make_interval(secs => :lease_seconds)));

-- RENEW_WORKER
UPDATE celers_workers
SET running=coalesce(:runs::INTEGER, celers_workers.running), state=coalesce(:in_state::VARCHAR,
    celers_workers.state), heartbeat_at=statement_timestamp(),
    expires_at=(statement_timestamp() + make_interval(secs => :lease_seconds))
WHERE celers_workers.id = :worker::VARCHAR
  AND celers_workers.expires_at > statement_timestamp();

-- DEREGISTER_WORKER
DELETE FROM celers_workers
WHERE celers_workers.id = :worker::VARCHAR;

-- LEASES
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- TASKS_OF_WORKER
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND celers_tasks.worker_id = :worker::VARCHAR FOR UPDATE SKIP LOCKED;

-- LOST_WORKERS
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= statement_timestamp()
  AND celers_workers.state != :state_1::VARCHAR;

-- LOST_WORKERS_LET_GO
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= statement_timestamp()
  AND celers_workers.state != :state_1::VARCHAR
  AND celers_workers.id IN (:lost, …) FOR UPDATE SKIP LOCKED;

-- MARK_LOST
UPDATE celers_workers
SET running=:running::INTEGER, state=:state::VARCHAR
WHERE celers_workers.id = :worker::VARCHAR
  AND celers_workers.expires_at <= statement_timestamp();

-- ORPHANS_OF
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.retry_count, celers_tasks.crash_count,
    celers_tasks.max_retries, celers_tasks.worker_id, celers_tasks.started_at,
    celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND celers_tasks.worker_id IN (:lost, …)
  AND NOT (EXISTS (SELECT *
        FROM celers_workers
        WHERE celers_workers.id = celers_tasks.worker_id
          AND celers_workers.expires_at > statement_timestamp()))
LIMIT :room::INTEGER FOR UPDATE SKIP LOCKED;

-- COUNT_ORPHANS
SELECT count(*) AS count_1
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND (celers_tasks.worker_id IS NOT NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_workers
            WHERE celers_workers.id = celers_tasks.worker_id
              AND celers_workers.expires_at > statement_timestamp())) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at,
        celers_tasks.created_at) < (statement_timestamp() + make_interval(secs => :stuck)));

-- ORPHANS
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.retry_count, celers_tasks.crash_count,
    celers_tasks.max_retries, celers_tasks.worker_id, celers_tasks.started_at,
    celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND (celers_tasks.worker_id IS NOT NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_workers
            WHERE celers_workers.id = celers_tasks.worker_id
              AND celers_workers.expires_at > statement_timestamp())) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at,
        celers_tasks.created_at) < (statement_timestamp() + make_interval(secs => :stuck)))
LIMIT :room::INTEGER FOR UPDATE SKIP LOCKED;

-- CLAIM, on asyncpg
UPDATE celers_tasks
SET state='processing', started_at=statement_timestamp(), worker_id=$1::VARCHAR,
    lease=(celers_tasks.lease + 1)
WHERE celers_tasks.ctid = ANY (array((SELECT chosen.place
            FROM (SELECT due.place AS place, due.id AS id, due.task_name AS task_name,
                due.priority AS priority, due.scheduled_at AS scheduled_at
                FROM unnest($2::TEXT[], $3::INTEGER[], $4::TIMESTAMP WITH TIME ZONE[],
                    $5::INTEGER[]) AS level(queue_name, priority, mark, room)
                JOIN LATERAL (SELECT celers_tasks.ctid AS place, celers_tasks.id AS id,
                    celers_tasks.task_name AS task_name, celers_tasks.priority AS priority,
                    celers_tasks.scheduled_at AS scheduled_at
                    FROM celers_tasks
                    WHERE celers_tasks.state = 'pending'
                      AND celers_tasks.queue_name = level.queue_name
                      AND celers_tasks.priority = level.priority
                      AND celers_tasks.scheduled_at >= level.mark
                      AND celers_tasks.scheduled_at <= statement_timestamp()
                      AND celers_tasks.task_name != ALL ($6::TEXT[])
                      AND NOT (EXISTS (SELECT *
                            FROM celers_queues
                            WHERE celers_queues.name = level.queue_name
                              AND celers_queues.paused_at IS NOT NULL))
                    ORDER BY celers_tasks.scheduled_at, celers_tasks.id
                    LIMIT level.room FOR UPDATE SKIP LOCKED) AS due ON true
                LIMIT $7::INTEGER) AS chosen)))
RETURNING celers_tasks.id, celers_tasks.lease, celers_tasks.task_name, celers_tasks.queue_name,
    celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count, celers_tasks.crash_count,
    celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at, celers_tasks.started_at,
    celers_tasks.timeout, coalesce(celers_tasks.expires_at <= statement_timestamp(), $8::BOOLEAN) AS expired,
    celers_tasks.metadata;

-- CLAIM_LIMITED, on asyncpg
WITH candidates AS (SELECT due.place AS place, due.id AS id, due.task_name AS task_name,
    due.priority AS priority, due.scheduled_at AS scheduled_at
    FROM unnest($2::TEXT[], $3::INTEGER[], $4::TIMESTAMP WITH TIME ZONE[], $5::INTEGER[]) AS level(queue_name,
        priority, mark, room)
    JOIN LATERAL (SELECT celers_tasks.ctid AS place, celers_tasks.id AS id,
        celers_tasks.task_name AS task_name, celers_tasks.priority AS priority,
        celers_tasks.scheduled_at AS scheduled_at
        FROM celers_tasks
        WHERE celers_tasks.state = 'pending'
          AND celers_tasks.queue_name = level.queue_name
          AND celers_tasks.priority = level.priority
          AND celers_tasks.scheduled_at >= level.mark
          AND celers_tasks.scheduled_at <= statement_timestamp()
          AND celers_tasks.task_name != ALL ($6::TEXT[])
          AND NOT (EXISTS (SELECT *
                FROM celers_queues
                WHERE celers_queues.name = level.queue_name
                  AND celers_queues.paused_at IS NOT NULL))
        ORDER BY celers_tasks.scheduled_at, celers_tasks.id
        LIMIT level.room FOR UPDATE SKIP LOCKED) AS due ON true
    LIMIT $7::INTEGER)
UPDATE celers_tasks
SET state='processing', started_at=statement_timestamp(), worker_id=$1::VARCHAR,
    lease=(celers_tasks.lease + 1)
WHERE celers_tasks.ctid = ANY (array((SELECT chosen.place
            FROM (SELECT ranked.place AS place
                FROM (SELECT candidates.place AS place, candidates.task_name AS task_name,
                    row_number() OVER (PARTITION BY candidates.task_name
                        ORDER BY candidates.priority DESC, candidates.scheduled_at, candidates.id) AS rank
                    FROM candidates) AS ranked
                LEFT OUTER JOIN unnest($8::TEXT[], $9::INTEGER[]) AS limited(task_name,
                    room) ON ranked.task_name = limited.task_name
                WHERE limited.room IS NULL OR ranked.rank <= limited.room) AS chosen)))
RETURNING celers_tasks.id, celers_tasks.lease, celers_tasks.task_name, celers_tasks.queue_name,
    celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count, celers_tasks.crash_count,
    celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at, celers_tasks.started_at,
    celers_tasks.timeout, coalesce(celers_tasks.expires_at <= statement_timestamp(), $10::BOOLEAN) AS expired,
    celers_tasks.metadata;

-- CLAIM_ANNOUNCED, on asyncpg
WITH RECURSIVE level(queue_name, priority) AS (SELECT each.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = each.queue_name
        ORDER BY t.priority DESC
        LIMIT $3::INTEGER) AS priority
    FROM unnest($4::TEXT[]) AS each(queue_name)
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT $5::INTEGER) AS anon_1
    FROM level
    WHERE level.priority IS NOT NULL)
UPDATE celers_tasks
SET state='processing', started_at=statement_timestamp(), worker_id=$1::VARCHAR,
    lease=(celers_tasks.lease + 1)
WHERE celers_tasks.ctid = ANY (array((SELECT chosen.place
            FROM (SELECT due.place AS place, due.id AS id, due.task_name AS task_name,
                due.priority AS priority, due.scheduled_at AS scheduled_at
                FROM (SELECT found.queue_name AS queue_name, found.priority AS priority,
                    found.first_due_at AS mark
                    FROM (SELECT level.queue_name AS queue_name, level.priority AS priority,
                        least((SELECT t.scheduled_at
                                FROM celers_tasks AS t
                                WHERE t.state = 'pending'
                                  AND t.queue_name = level.queue_name
                                  AND t.priority = level.priority
                                ORDER BY t.scheduled_at
                                LIMIT $2::INTEGER),
                                    (statement_timestamp() + make_interval(secs => 3155760000))) AS first_due_at,
                                    statement_timestamp() AS now
                        FROM level
                        WHERE level.priority IS NOT NULL) AS found
                    WHERE found.first_due_at <= statement_timestamp()
                    ORDER BY found.priority DESC, found.first_due_at) AS level
                JOIN LATERAL (SELECT celers_tasks.ctid AS place, celers_tasks.id AS id,
                    celers_tasks.task_name AS task_name, celers_tasks.priority AS priority,
                    celers_tasks.scheduled_at AS scheduled_at
                    FROM celers_tasks
                    WHERE celers_tasks.state = 'pending'
                      AND celers_tasks.queue_name = level.queue_name
                      AND celers_tasks.priority = level.priority
                      AND celers_tasks.scheduled_at >= level.mark
                      AND celers_tasks.scheduled_at <= statement_timestamp()
                      AND celers_tasks.task_name != ALL ($6::TEXT[])
                      AND NOT (EXISTS (SELECT *
                            FROM celers_queues
                            WHERE celers_queues.name = level.queue_name
                              AND celers_queues.paused_at IS NOT NULL))
                    ORDER BY celers_tasks.scheduled_at, celers_tasks.id
                    LIMIT $7::INTEGER FOR UPDATE SKIP LOCKED) AS due ON true
                LIMIT $7::INTEGER) AS chosen)))
RETURNING celers_tasks.id, celers_tasks.lease, celers_tasks.task_name, celers_tasks.queue_name,
    celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count, celers_tasks.crash_count,
    celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at, celers_tasks.started_at,
    celers_tasks.timeout, coalesce(celers_tasks.expires_at <= statement_timestamp(), $8::BOOLEAN) AS expired,
    celers_tasks.metadata;

-- COMPLETE, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($1::UUID[], $2::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, celers_tasks.state,
        celers_tasks.priority, celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at,
        celers_tasks.scheduled_at, celers_tasks.started_at, celers_tasks.completed_at, celers_tasks.worker_id,
        celers_tasks.error_message, celers_tasks.metadata, celers_tasks.queue_name, celers_tasks.lease,
        celers_tasks.crash_count, celers_tasks.timeout, celers_tasks.expires_at, celers_tasks.unique_key,
        celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id, celers_tasks.workflow_id,
        celers_tasks.waits_for, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason),
        kept AS (INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count,
        max_retries, created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata,
        queue_name, lease, crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id,
        workflow_id, waits_for, cancel_requested_at, cancel_reason)
    SELECT gone.id AS id, gone.task_name AS task_name, gone.payload AS payload, 'completed',
        gone.priority AS priority, gone.retry_count AS retry_count, gone.max_retries AS max_retries,
        gone.created_at AS created_at, gone.scheduled_at AS scheduled_at, gone.started_at AS started_at,
        statement_timestamp() AS now_1, gone.worker_id AS worker_id, gone.error_message AS error_message,
        gone.metadata AS metadata, gone.queue_name AS queue_name, gone.lease AS lease,
        gone.crash_count AS crash_count, gone.timeout AS timeout, gone.expires_at AS expires_at,
        gone.unique_key AS unique_key, gone.fingerprint AS fingerprint, gone.group_id AS group_id,
        gone.chord_id AS chord_id, gone.workflow_id AS workflow_id, gone.waits_for AS waits_for,
        gone.cancel_requested_at AS cancel_requested_at, gone.cancel_reason AS cancel_reason
    FROM gone)
SELECT gone.id
FROM gone;

-- COMPLETE_WITH_RESULTS, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($1::UUID[], $2::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, celers_tasks.state,
        celers_tasks.priority, celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at,
        celers_tasks.scheduled_at, celers_tasks.started_at, celers_tasks.completed_at, celers_tasks.worker_id,
        celers_tasks.error_message, celers_tasks.metadata, celers_tasks.queue_name, celers_tasks.lease,
        celers_tasks.crash_count, celers_tasks.timeout, celers_tasks.expires_at, celers_tasks.unique_key,
        celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id, celers_tasks.workflow_id,
        celers_tasks.waits_for, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason),
        kept AS (INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count,
        max_retries, created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata,
        queue_name, lease, crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id,
        workflow_id, waits_for, cancel_requested_at, cancel_reason)
    SELECT gone.id AS id, gone.task_name AS task_name, gone.payload AS payload, 'completed',
        gone.priority AS priority, gone.retry_count AS retry_count, gone.max_retries AS max_retries,
        gone.created_at AS created_at, gone.scheduled_at AS scheduled_at, gone.started_at AS started_at,
        statement_timestamp() AS now_1, gone.worker_id AS worker_id, gone.error_message AS error_message,
        gone.metadata AS metadata, gone.queue_name AS queue_name, gone.lease AS lease,
        gone.crash_count AS crash_count, gone.timeout AS timeout, gone.expires_at AS expires_at,
        gone.unique_key AS unique_key, gone.fingerprint AS fingerprint, gone.group_id AS group_id,
        gone.chord_id AS chord_id, gone.workflow_id AS workflow_id, gone.waits_for AS waits_for,
        gone.cancel_requested_at AS cancel_requested_at, gone.cancel_reason AS cancel_reason
    FROM gone), stored AS (INSERT INTO celers_task_results (task_id, result, created_at)
    SELECT value.task_id AS task_id, value.result AS result, statement_timestamp() AS now_2
    FROM unnest($3::UUID[], $4::BYTEA[]) AS value(task_id, result), gone
    WHERE gone.id = value.task_id)
SELECT gone.id
FROM gone;

-- DISCARD, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($1::UUID[], $2::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id)
SELECT gone.id
FROM gone;

-- DISCARD_WITH_RESULTS, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($3::UUID[], $4::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id), stored AS (INSERT INTO celers_task_results (task_id, result, created_at)
    SELECT value.task_id AS task_id, value.result AS result, statement_timestamp() AS now_1
    FROM unnest($1::UUID[], $2::BYTEA[]) AS value(task_id, result), gone
    WHERE gone.id = value.task_id)
SELECT gone.id
FROM gone;

-- ENQUEUE, on asyncpg
WITH added AS (INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at,
    scheduled_at, metadata, queue_name, timeout, expires_at, fingerprint)
    SELECT "new".id AS id, "new".task_name AS task_name, "new".payload AS payload, 'pending',
        "new".priority AS priority, "new".max_retries AS max_retries, statement_timestamp() AS now_1,
        coalesce("new".at, (statement_timestamp() + make_interval(secs => "new".delay))) AS coalesce_1,
        CAST("new".metadata AS JSONB) AS metadata, "new".queue_name AS queue_name, "new".timeout AS timeout,
        (statement_timestamp() + make_interval(secs => "new".expires)) AS later_1,
        "new".fingerprint AS fingerprint
    FROM unnest($1::UUID[], $2::TEXT[], $3::BYTEA[], $4::INTEGER[], $5::INTEGER[],
        $6::TIMESTAMP WITH TIME ZONE[], $7::DOUBLE PRECISION[], $8::TEXT[], $9::TEXT[],
        $10::DOUBLE PRECISION[], $11::DOUBLE PRECISION[], $12::TEXT[]) AS "new"(id, task_name, payload,
        priority, max_retries, at, delay, metadata, queue_name, timeout, expires, fingerprint))
SELECT pg_notify($13::VARCHAR, announced.queue_name) AS pg_notify_1
FROM unnest($14::TEXT[]) AS announced(queue_name)
WHERE pg_try_advisory_xact_lock(1667591269, hashtext(announced.queue_name));

-- ENQUEUE_ONE, on asyncpg
WITH added AS (INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at,
    scheduled_at, metadata, queue_name, timeout, expires_at, fingerprint)
    SELECT $1::UUID AS anon_1, $2::VARCHAR AS anon_2, $3::BYTEA AS anon_3, 'pending', $4::INTEGER AS anon_4,
        $5::INTEGER AS anon_5, statement_timestamp() AS now_1, coalesce($6::TIMESTAMP WITH TIME ZONE,
        (statement_timestamp() + make_interval(secs => $7::FLOAT))) AS coalesce_1,
        CAST($8::VARCHAR AS JSONB) AS anon_6, $9::VARCHAR AS anon_7, $10::FLOAT AS anon_8,
        (statement_timestamp() + make_interval(secs => $11::FLOAT)) AS later_1, $12::VARCHAR AS anon_9)
SELECT pg_notify($13::VARCHAR, announced.queue_name) AS pg_notify_1
FROM unnest($14::TEXT[]) AS announced(queue_name)
WHERE pg_try_advisory_xact_lock(1667591269, hashtext(announced.queue_name));

-- LOST_WORKERS, on asyncpg
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= statement_timestamp()
  AND celers_workers.state != $1::VARCHAR;

-- SWEEP, on asyncpg
WITH RECURSIVE level(queue_name, priority) AS (SELECT each.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = each.queue_name
        ORDER BY t.priority DESC
        LIMIT $2::INTEGER) AS priority
    FROM unnest($3::TEXT[]) AS each(queue_name)
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT $4::INTEGER) AS anon_1
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT $1::INTEGER), (statement_timestamp() + make_interval(secs => 3155760000))) AS first_due_at,
            statement_timestamp() AS now
FROM level
WHERE level.priority IS NOT NULL;

-- SWEEP_ALL, on asyncpg
WITH RECURSIVE each(queue_name) AS (SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
        ORDER BY every.queue_name
        LIMIT $3::INTEGER) AS queue_name
    UNION ALL
    SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
          AND every.queue_name > each.queue_name
        ORDER BY every.queue_name
        LIMIT $4::INTEGER) AS anon_1
    FROM each
    WHERE each.queue_name IS NOT NULL), level(queue_name, priority) AS (SELECT each.queue_name AS queue_name,
        (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = each.queue_name
        ORDER BY t.priority DESC
        LIMIT $2::INTEGER) AS priority
    FROM each
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT $5::INTEGER) AS anon_2
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT $1::INTEGER), (statement_timestamp() + make_interval(secs => 3155760000))) AS first_due_at,
            statement_timestamp() AS now
FROM level
WHERE level.priority IS NOT NULL;
