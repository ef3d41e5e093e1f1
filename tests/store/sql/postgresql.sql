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
    coalesce(celers_tasks.expires_at <= statement_timestamp(), :param_1) AS expired, celers_tasks.metadata,
    celers_tasks.workflow_id IS NOT NULL AS in_workflow
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
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason,
    celers_tasks.workflow_id
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

-- FORGET_RESULTS
DELETE FROM celers_task_results
WHERE celers_task_results.task_id IN (:ids, …);

-- INSERT_RESULT
INSERT INTO celers_task_results (task_id, result, created_at, state, task_name, codec, runtime, error_type,
    error_message, error_data, traceback, expires_at)
VALUES (:of_task::UUID, :value, statement_timestamp(), :ended_as::VARCHAR, :of_name::VARCHAR, :coded::VARCHAR,
    :seconds, :kind::VARCHAR, :message::VARCHAR, :data, :trace::VARCHAR,
    (statement_timestamp() + make_interval(secs => :keep)))
ON CONFLICT (task_id) DO UPDATE
SET result = excluded.result, created_at = excluded.created_at, state = excluded.state,
    task_name = excluded.task_name, codec = excluded.codec, runtime = excluded.runtime,
    error_type = excluded.error_type, error_message = excluded.error_message,
    error_data = excluded.error_data, traceback = excluded.traceback, expires_at = excluded.expires_at;

-- LIVE_STATES
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.state, celers_tasks.error_message
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- ARCHIVED_ENDINGS
SELECT celers_task_archive.id, celers_task_archive.task_name, celers_task_archive.state,
    celers_task_archive.error_message, celers_task_archive.started_at, celers_task_archive.completed_at
FROM celers_task_archive
WHERE celers_task_archive.id IN (:ids, …);

-- DEAD_ENDINGS
SELECT celers_dead_letter_queue.id, celers_dead_letter_queue.task_name, celers_dead_letter_queue.state,
    celers_dead_letter_queue.error_message, celers_dead_letter_queue.started_at,
    celers_dead_letter_queue.completed_at
FROM celers_dead_letter_queue
WHERE celers_dead_letter_queue.id IN (:ids, …);

-- RESULTS
SELECT celers_task_results.task_id, celers_task_results.result, celers_task_results.created_at,
    celers_task_results.state, celers_task_results.task_name, celers_task_results.codec,
    celers_task_results.runtime, celers_task_results.error_type, celers_task_results.error_message,
    celers_task_results.error_data, celers_task_results.traceback, celers_task_results.expires_at
FROM celers_task_results
WHERE celers_task_results.task_id IN (:ids, …)
  AND (celers_task_results.expires_at IS NULL OR celers_task_results.expires_at > statement_timestamp());

-- FAILED_ATTEMPTS
SELECT celers_task_attempts.task_id, celers_task_attempts.error_type, celers_task_attempts.error_message,
    celers_task_attempts.traceback
FROM celers_task_attempts
WHERE celers_task_attempts.task_id IN (:ids, …)
ORDER BY celers_task_attempts.task_id, celers_task_attempts.lease;

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
SELECT celers_tasks.id, celers_tasks.metadata, celers_tasks.task_name
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
INSERT INTO celers_workers (id, name, host, pid, version, queues, handlers, concurrency, state, started_at,
    heartbeat_at, expires_at, limits, wanted_state, wanted_concurrency, wanted_by, suspect_lease)
VALUES (:worker::VARCHAR, :label::VARCHAR, :on_host::VARCHAR, :process::INTEGER, :of_version::VARCHAR,
    :serves::JSONB, :knows::JSONB, :permits::INTEGER, :in_state::VARCHAR, statement_timestamp(),
    statement_timestamp(), (statement_timestamp() + make_interval(secs => :lease_seconds)), :limited::JSONB,
    :told_state::VARCHAR, :told_concurrency::INTEGER, :told_by::VARCHAR, :begun::BIGINT);

-- RENEW_WORKER
UPDATE celers_workers
SET running=coalesce(:runs::INTEGER, celers_workers.running), state=coalesce(:in_state::VARCHAR,
    celers_workers.state), heartbeat_at=statement_timestamp(),
    expires_at=(statement_timestamp() + make_interval(secs => :lease_seconds))
WHERE celers_workers.id = :worker::VARCHAR
  AND celers_workers.expires_at > statement_timestamp();

-- ORDERS
SELECT celers_workers.wanted_state, celers_workers.wanted_concurrency, celers_workers.wanted_by,
    celers_handlers.name AS handler, celers_handlers.paused_at IS NOT NULL AS paused,
    celers_handlers.opened_at IS NOT NULL AS open, -CAST(extract(epoch
        FROM statement_timestamp() - celers_handlers.probe_at) AS double precision) AS probe_in
FROM celers_workers
LEFT OUTER JOIN celers_handlers ON celers_handlers.paused_at IS NOT NULL OR celers_handlers.opened_at IS NOT NULL
WHERE celers_workers.id = :worker::VARCHAR;

-- RENEW_AND_READ
WITH renewed AS (UPDATE celers_workers
    SET running=coalesce(:runs::INTEGER, celers_workers.running), state=coalesce(:in_state::VARCHAR,
        celers_workers.state), heartbeat_at=statement_timestamp(),
        expires_at=(statement_timestamp() + make_interval(secs => :lease_seconds))
    WHERE celers_workers.id = :worker::VARCHAR
      AND celers_workers.expires_at > statement_timestamp()
    RETURNING celers_workers.wanted_state, celers_workers.wanted_concurrency, celers_workers.wanted_by)
SELECT renewed.wanted_state, renewed.wanted_concurrency, renewed.wanted_by, celers_handlers.name AS handler,
    celers_handlers.paused_at IS NOT NULL AS paused, celers_handlers.opened_at IS NOT NULL AS open,
    -CAST(extract(epoch
        FROM statement_timestamp() - celers_handlers.probe_at) AS double precision) AS probe_in
FROM renewed
LEFT OUTER JOIN celers_handlers ON celers_handlers.paused_at IS NOT NULL OR celers_handlers.opened_at IS NOT NULL;

-- PUBLISH_LIMITS
UPDATE celers_workers
SET concurrency=:permits::INTEGER, limits=:limited::JSONB
WHERE celers_workers.id = :worker::VARCHAR;

-- MARK_SUSPECT
UPDATE celers_workers
SET suspect_id=:task_id::UUID, suspect_lease=:begun::BIGINT
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

-- NOTE_END
UPDATE celers_workers
SET expires_at=CASE WHEN (celers_workers.expires_at > statement_timestamp()) THEN statement_timestamp() ELSE celers_workers.expires_at END,
    ended_by=:how::VARCHAR
WHERE celers_workers.id = :worker::VARCHAR;

-- ENDS
SELECT celers_workers.id, celers_workers.ended_by, celers_workers.suspect_id, celers_workers.suspect_lease
FROM celers_workers
WHERE celers_workers.id IN (:gone, …);

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

-- OWNERS
SELECT celers_tasks.unique_key, celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.unique_key IN (:keys, …);

-- ADD_WINDOW
INSERT INTO celers_unique_windows (unique_key, task_id, expires_at)
VALUES (:of_key::VARCHAR, :of_task::UUID, (statement_timestamp() + make_interval(secs => :window)))
ON CONFLICT DO NOTHING;

-- TAKE_WINDOW
UPDATE celers_unique_windows
SET task_id=:of_task::UUID, expires_at=(statement_timestamp() + make_interval(secs => :window))
WHERE celers_unique_windows.unique_key = :key::VARCHAR
  AND celers_unique_windows.expires_at <= statement_timestamp();

-- WINDOWS
SELECT celers_unique_windows.unique_key, celers_unique_windows.task_id
FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.expires_at > statement_timestamp();

-- FREE_WINDOWS
DELETE FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.task_id IN (:ids, …);

-- REPLACE
UPDATE celers_tasks
SET task_name=:new_name::VARCHAR, payload=:new_payload, priority=:new_priority::INTEGER, retry_count=0,
    max_retries=:new_max_retries::INTEGER, scheduled_at=coalesce(:new_at::TIMESTAMP WITH TIME ZONE,
    (statement_timestamp() + make_interval(secs => :new_delay))), error_message=NULL,
    metadata=:new_metadata::JSONB, queue_name=:new_queue::VARCHAR,
    lease=(celers_tasks.lease + :lease_1::BIGINT), crash_count=0, timeout=:new_timeout,
    expires_at=(statement_timestamp() + make_interval(secs => :new_expires)),
    fingerprint=:new_fingerprint::VARCHAR
WHERE celers_tasks.id = :owner::UUID
  AND celers_tasks.unique_key = :key::VARCHAR
  AND celers_tasks.state = 'pending';

-- DEBOUNCE
UPDATE celers_tasks
SET task_name=:new_name::VARCHAR, payload=:new_payload, priority=:new_priority::INTEGER, retry_count=0,
    max_retries=:new_max_retries::INTEGER,
    scheduled_at=(statement_timestamp() + make_interval(secs => CASE WHEN (:longest - CAST(extract(epoch
                    FROM statement_timestamp() - celers_tasks.created_at) AS double precision) < :param_1::INTEGER) THEN 0 WHEN (:longest - CAST(extract(epoch
                    FROM statement_timestamp() - celers_tasks.created_at) AS double precision) < :pause) THEN :longest - CAST(extract(epoch
                FROM statement_timestamp() - celers_tasks.created_at) AS double precision) ELSE :pause END)),
                    error_message=NULL, metadata=:new_metadata::JSONB, queue_name=:new_queue::VARCHAR,
                    lease=(celers_tasks.lease + :lease_1::BIGINT), crash_count=0, timeout=:new_timeout,
                    expires_at=(statement_timestamp() + make_interval(secs => :new_expires)),
                    fingerprint=:new_fingerprint::VARCHAR
WHERE celers_tasks.id = :owner::UUID
  AND celers_tasks.unique_key = :key::VARCHAR
  AND celers_tasks.state = 'pending';

-- SUPERSEDE
UPDATE celers_tasks
SET unique_key=NULL, cancel_reason=coalesce(celers_tasks.cancel_reason, :coalesce_1::VARCHAR)
WHERE celers_tasks.id = :owner::UUID
  AND celers_tasks.unique_key = :key::VARCHAR
  AND celers_tasks.state = 'processing';

-- OWNERS
SELECT celers_tasks.unique_key, celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.unique_key IN (:keys, …);

-- WINDOWS
SELECT celers_unique_windows.unique_key, celers_unique_windows.task_id
FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.expires_at > statement_timestamp();

-- WAITING
SELECT count(*) AS count_1
FROM (SELECT 1 AS one
    FROM celers_tasks
    WHERE celers_tasks.state = 'pending'
      AND celers_tasks.queue_name = :queue::VARCHAR
    LIMIT :room::INTEGER) AS waiting;

-- ADD_LIMIT
INSERT INTO celers_limits (name)
VALUES (:of_name::VARCHAR)
ON CONFLICT DO NOTHING;

-- LOCK_LIMIT
SELECT CAST(extract(epoch
        FROM statement_timestamp() - celers_limits.free_at) AS double precision) AS ago
FROM celers_limits
WHERE celers_limits.name = :of_name::VARCHAR FOR UPDATE;

-- BOOK_LIMIT
UPDATE celers_limits
SET free_at=(statement_timestamp() + make_interval(secs => :until))
WHERE celers_limits.name = :of_name::VARCHAR;

-- HOLDERS
SELECT celers_limit_holders.task_id, celers_tasks.id AS runs
FROM celers_limit_holders
LEFT OUTER JOIN celers_tasks ON celers_tasks.id = celers_limit_holders.task_id
  AND celers_tasks.lease = celers_limit_holders.lease
  AND celers_tasks.state = 'processing'
WHERE celers_limit_holders.limit_name = :of_name::VARCHAR;

-- HOLD
INSERT INTO celers_limit_holders (limit_name, task_id, lease)
VALUES (:of_name::VARCHAR, :of_task::UUID, :with_lease::BIGINT)
ON CONFLICT DO NOTHING;

-- LET_GO
DELETE FROM celers_limit_holders
WHERE celers_limit_holders.limit_name = :of_name::VARCHAR
  AND celers_limit_holders.task_id IN (:ids, …);

-- LEFT_BEHIND
SELECT celers_limit_holders.limit_name
FROM celers_limit_holders
LEFT OUTER JOIN celers_tasks ON celers_tasks.id = celers_limit_holders.task_id
  AND celers_tasks.lease = celers_limit_holders.lease
  AND celers_tasks.state = 'processing'
WHERE celers_tasks.id IS NULL
LIMIT :room;

-- UNUSED_LIMITS
SELECT celers_limits.name
FROM celers_limits
LEFT OUTER JOIN celers_limit_holders ON celers_limit_holders.limit_name = celers_limits.name
WHERE celers_limits.free_at < (statement_timestamp() + make_interval(secs => :later_1::INTEGER))
  AND celers_limit_holders.task_id IS NULL
LIMIT :room;

-- FORGET_LIMITS
DELETE FROM celers_limits
WHERE celers_limits.name IN (:names, …)
  AND celers_limits.free_at < (statement_timestamp() + make_interval(secs => :later_1::INTEGER));

-- DECLARED
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, statement_timestamp() AS read_at
FROM celers_schedules
WHERE celers_schedules.name IN (:names, …)
ORDER BY celers_schedules.name FOR UPDATE;

-- ADD_SCHEDULE
INSERT INTO celers_schedules (name, source, task_name, payload, options, cron, interval_seconds, time_zone,
    misfire, misfire_after, catch_up, overlap, jitter, due_after, next_tick, created_at, changed_at, seen_at)
VALUES (:of_schedule::VARCHAR, :from_source::VARCHAR, :of_task::VARCHAR, :with_payload, :with_options::JSONB,
    :by_cron::VARCHAR, :by_interval::BIGINT, :in_zone::VARCHAR, :if_late::VARCHAR, :late_after,
    :at_most::INTEGER, :if_busy::VARCHAR, :spread, :done_until::TIMESTAMP WITH TIME ZONE,
    :next_at::TIMESTAMP WITH TIME ZONE, statement_timestamp(), statement_timestamp(), statement_timestamp())
ON CONFLICT DO NOTHING;

-- CHANGE_SCHEDULE
UPDATE celers_schedules
SET source=:from_source::VARCHAR, task_name=:of_task::VARCHAR, payload=:with_payload,
    options=:with_options::JSONB, cron=:by_cron::VARCHAR, interval_seconds=:by_interval::BIGINT,
    time_zone=:in_zone::VARCHAR, misfire=:if_late::VARCHAR, misfire_after=:late_after,
    catch_up=:at_most::INTEGER, overlap=:if_busy::VARCHAR, jitter=:spread,
    due_after=:done_until::TIMESTAMP WITH TIME ZONE, next_tick=:next_at::TIMESTAMP WITH TIME ZONE,
    changed_at=statement_timestamp(), seen_at=statement_timestamp()
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- SEE_SCHEDULES
UPDATE celers_schedules
SET seen_at=statement_timestamp()
WHERE celers_schedules.name IN (:names, …)
  AND celers_schedules.seen_at < (statement_timestamp() + make_interval(secs => :ago));

-- LOOK
SELECT min(CASE WHEN (celers_schedules.paused_at IS NOT NULL) THEN NULL WHEN (celers_schedules.due_after > statement_timestamp() OR celers_schedules.waiting_tick IS NOT NULL) THEN 0 ELSE -CAST(extract(epoch
            FROM statement_timestamp() - celers_schedules.next_tick) AS double precision) END) AS due_in,
                sum(CASE WHEN (celers_schedules.name IN (:declared, …)) THEN 1 ELSE 0 END) AS present,
                max(CASE WHEN (celers_schedules.name IN (:declared, …)) THEN CAST(extract(epoch
            FROM statement_timestamp() - celers_schedules.seen_at) AS double precision) END) AS unseen
FROM celers_schedules
WHERE (celers_schedules.source = :source_1::VARCHAR OR celers_schedules.name IN (:declared, …))
  AND (celers_schedules.name NOT IN (:unreadable, …));

-- DUE_SCHEDULES
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, statement_timestamp() AS read_at
FROM celers_schedules
WHERE (celers_schedules.source = :source_1::VARCHAR OR celers_schedules.name IN (:declared, …))
  AND (celers_schedules.name NOT IN (:unreadable, …))
  AND celers_schedules.paused_at IS NULL
  AND (celers_schedules.next_tick <= statement_timestamp() OR celers_schedules.due_after > statement_timestamp() OR celers_schedules.waiting_tick IS NOT NULL)
ORDER BY celers_schedules.next_tick, celers_schedules.name
LIMIT :room::INTEGER FOR UPDATE SKIP LOCKED;

-- IS_LIVE
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.id = :task_id::UUID;

-- ADD_TICKS
INSERT INTO celers_schedule_ticks (schedule_name, tick, outcome, since, task_id, decided_at)
VALUES (:of_schedule::VARCHAR, :at_tick::TIMESTAMP WITH TIME ZONE, :came_to::VARCHAR,
    :since_tick::TIMESTAMP WITH TIME ZONE, :with_task::UUID, statement_timestamp())
ON CONFLICT DO NOTHING;

-- TASKS_OF_TICKS
SELECT celers_schedule_ticks.task_id
FROM celers_schedule_ticks
WHERE celers_schedule_ticks.schedule_name = :of_schedule::VARCHAR
  AND celers_schedule_ticks.tick IN (:ticks, …)
  AND celers_schedule_ticks.task_id IS NOT NULL;

-- ADVANCE
UPDATE celers_schedules
SET due_after=:done_until::TIMESTAMP WITH TIME ZONE, next_tick=:next_at::TIMESTAMP WITH TIME ZONE,
    waiting_tick=:held_at::TIMESTAMP WITH TIME ZONE, last_task_id=coalesce(:last_id::UUID,
    celers_schedules.last_task_id)
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- ONE_SCHEDULE
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, statement_timestamp() AS read_at
FROM celers_schedules
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- LOCKED_SCHEDULE
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, statement_timestamp() AS read_at
FROM celers_schedules
WHERE celers_schedules.name = :of_schedule::VARCHAR FOR UPDATE;

-- PAUSE_SCHEDULE
UPDATE celers_schedules
SET paused_at=coalesce(celers_schedules.paused_at, statement_timestamp()), paused_reason=:why::VARCHAR
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- RESUME_SCHEDULE
UPDATE celers_schedules
SET due_after=:done_until::TIMESTAMP WITH TIME ZONE, next_tick=:next_at::TIMESTAMP WITH TIME ZONE,
    waiting_tick=:waiting_tick::TIMESTAMP WITH TIME ZONE, paused_at=:paused_at::TIMESTAMP WITH TIME ZONE,
    paused_reason=:paused_reason::VARCHAR
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- TRIGGERED
UPDATE celers_schedules
SET last_task_id=:last_id::UUID
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- REMOVE_SCHEDULE
DELETE FROM celers_schedules
WHERE celers_schedules.name = :of_schedule::VARCHAR;

-- OLD_TICKS_BEYOND
SELECT celers_schedule_ticks.decided_at
FROM celers_schedule_ticks
WHERE celers_schedule_ticks.decided_at < (statement_timestamp() + make_interval(secs => :ago))
ORDER BY celers_schedule_ticks.decided_at
LIMIT :param_1::INTEGER OFFSET :room::INTEGER;

-- DELETE_TICKS
DELETE FROM celers_schedule_ticks
WHERE celers_schedule_ticks.decided_at < (statement_timestamp() + make_interval(secs => :ago))
  AND celers_schedule_ticks.decided_at < coalesce(:beyond::TIMESTAMP WITH TIME ZONE, statement_timestamp());

-- DELETE_UNDECLARED
DELETE FROM celers_schedules
WHERE celers_schedules.source != :source_1::VARCHAR
  AND celers_schedules.seen_at < (statement_timestamp() + make_interval(secs => :ago));

-- INSERT_ROWS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, :new_state::VARCHAR, :new_priority::INTEGER,
    :new_max_retries::INTEGER, :new_created_at::TIMESTAMP WITH TIME ZONE,
    :new_scheduled_at::TIMESTAMP WITH TIME ZONE, :new_metadata::JSONB, :new_queue::VARCHAR, :new_timeout,
    :new_expires_at::TIMESTAMP WITH TIME ZONE, :new_unique_key::VARCHAR, :new_fingerprint::VARCHAR);

-- INSERT_WORKFLOW
INSERT INTO celers_workflows (id, name, created_at, timeout, expires_at, result, checked_at)
VALUES (:workflow::UUID, :called::VARCHAR, :since::TIMESTAMP WITH TIME ZONE, :seconds,
    :until::TIMESTAMP WITH TIME ZONE, :shape::JSONB, :since::TIMESTAMP WITH TIME ZONE);

-- INSERT_STEP
INSERT INTO celers_workflow_steps (workflow_id, task_id, position, name, delay, template)
VALUES (:workflow::UUID, :of_task::UUID, :place::INTEGER, :called::VARCHAR, :wait, :before);

-- INSERT_EDGE
INSERT INTO celers_task_edges (child_id, parent_id, workflow_id, position, policy, path)
VALUES (:child::UUID, :parent::UUID, :workflow::UUID, :place::INTEGER, :tolerance::VARCHAR, :goes_to::VARCHAR);

-- INSERT_MEMBERS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint, workflow_id)
VALUES (:new_id::UUID, :new_name::VARCHAR, :new_payload, :new_state::VARCHAR, :new_priority::INTEGER,
    :new_max_retries::INTEGER, :new_created_at::TIMESTAMP WITH TIME ZONE,
    :new_scheduled_at::TIMESTAMP WITH TIME ZONE, :new_metadata::JSONB, :new_queue::VARCHAR, :new_timeout,
    :new_expires_at::TIMESTAMP WITH TIME ZONE, :new_unique_key::VARCHAR, :new_fingerprint::VARCHAR,
    :workflow::UUID);

-- KNOWN_WORKFLOW
SELECT celers_workflows.id
FROM celers_workflows
WHERE celers_workflows.id = :workflow::UUID;

-- WORKFLOWS_OF
SELECT DISTINCT celers_workflow_steps.workflow_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.task_id IN (:ids, …);

-- LOCK_WORKFLOWS
SELECT celers_workflows.id, celers_workflows.name, celers_workflows.state, celers_workflows.created_at,
    celers_workflows.completed_at, celers_workflows.timeout, celers_workflows.expires_at,
    celers_workflows.stopping_at, celers_workflows.cancel_reason, celers_workflows.error_message,
    celers_workflows.result, celers_workflows.checked_at
FROM celers_workflows
WHERE celers_workflows.id IN (:ids, …)
ORDER BY celers_workflows.id FOR UPDATE;

-- MEMBERS
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.workflow_id IS NOT NULL;

-- END_STEPS
UPDATE celers_workflow_steps
SET state=:now_is::VARCHAR, ended_at=statement_timestamp(), error_message=:message::VARCHAR,
    ended_by=:because::UUID
WHERE celers_workflow_steps.task_id IN (:ids, …)
  AND celers_workflow_steps.state IS NULL;

-- CHILDREN
SELECT DISTINCT celers_task_edges.child_id, celers_task_edges.policy, celers_task_edges.parent_id
FROM celers_task_edges
WHERE celers_task_edges.parent_id IN (:ids, …);

-- CANDIDATES
SELECT celers_tasks.id, celers_tasks.queue_name, (SELECT celers_task_edges.parent_id
    FROM celers_task_edges
    JOIN celers_workflow_steps AS parent_step ON parent_step.workflow_id = celers_task_edges.workflow_id
      AND parent_step.task_id = celers_task_edges.parent_id
    WHERE celers_task_edges.child_id = celers_tasks.id
      AND parent_step.state IS NULL
    ORDER BY celers_task_edges.parent_id DESC
    LIMIT :param_1::INTEGER) AS live_parent
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'blocked'
ORDER BY celers_tasks.id FOR UPDATE;

-- PARENTS
SELECT celers_task_edges.child_id, celers_task_edges.parent_id, celers_task_edges.workflow_id,
    celers_task_edges.policy, celers_task_edges.path, parent_step.task_id AS step_id, parent_step.name,
    parent_step.state, parent_step.error_message, parent_step.ended_by,
    coalesce(length(celers_task_results.result), :coalesce_1::INTEGER) AS size
FROM celers_task_edges
LEFT OUTER JOIN celers_workflow_steps AS parent_step ON parent_step.workflow_id = celers_task_edges.workflow_id
  AND parent_step.task_id = celers_task_edges.parent_id
LEFT OUTER JOIN celers_task_results ON celers_task_results.task_id = celers_task_edges.parent_id
  AND celers_task_edges.path IS NOT NULL
WHERE celers_task_edges.child_id IN (:ids, …)
ORDER BY celers_task_edges.child_id, celers_task_edges.position;

-- STEPS
SELECT celers_workflow_steps.task_id, celers_workflow_steps.delay, celers_workflow_steps.template
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id IN (:ids, …);

-- RESULTS
SELECT celers_task_results.task_id, celers_task_results.result
FROM celers_task_results
WHERE celers_task_results.task_id IN (:ids, …);

-- UNBLOCK
UPDATE celers_tasks
SET state='pending',
    scheduled_at=CASE WHEN (celers_tasks.scheduled_at > statement_timestamp()) THEN celers_tasks.scheduled_at ELSE statement_timestamp() END
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'blocked';

-- UNBLOCK_CHANGED
UPDATE celers_tasks
SET payload=coalesce(:full, celers_tasks.payload), state='pending',
    scheduled_at=coalesce((statement_timestamp() + make_interval(secs => :wait)),
    CASE WHEN (celers_tasks.scheduled_at > statement_timestamp()) THEN celers_tasks.scheduled_at ELSE statement_timestamp() END)
WHERE celers_tasks.id = :task_id::UUID
  AND celers_tasks.state = 'blocked';

-- OPEN_STEPS
SELECT celers_workflows.id, (SELECT step.task_id
    FROM celers_workflow_steps AS step
    WHERE step.workflow_id = celers_workflows.id
      AND step.task_id != celers_workflows.id
      AND step.state IS NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_task_edges
            WHERE celers_task_edges.child_id = step.task_id
              AND celers_task_edges.parent_id = step.workflow_id))
    ORDER BY step.task_id DESC
    LIMIT :param_1::INTEGER) AS step
FROM celers_workflows
WHERE celers_workflows.id IN (:ids, …)
  AND celers_workflows.state = :state_1::VARCHAR;

-- LAST_STATES
SELECT DISTINCT celers_workflow_steps.state
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1::VARCHAR))
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.parent_id = celers_workflow_steps.task_id
          AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
          AND celers_task_edges.policy != :policy_2::VARCHAR));

-- FIRST_FAILURE
SELECT celers_workflow_steps.task_id, celers_workflow_steps.name, celers_workflow_steps.state,
    celers_workflow_steps.error_message
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1::VARCHAR))
  AND celers_workflow_steps.state != :state_1::VARCHAR
  AND celers_workflow_steps.ended_by IS NULL
ORDER BY CASE WHEN (NOT (EXISTS (SELECT *
            FROM celers_task_edges
            WHERE celers_task_edges.parent_id = celers_workflow_steps.task_id
              AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
              AND celers_task_edges.policy != :policy_2::VARCHAR)) OR (EXISTS (SELECT *
            FROM celers_workflow_steps AS step
            WHERE step.ended_by = celers_workflow_steps.task_id
              AND step.workflow_id = celers_workflow_steps.workflow_id))) THEN :param_1::INTEGER ELSE :param_2::INTEGER END,
                celers_workflow_steps.ended_at, celers_workflow_steps.position
LIMIT :param_3::INTEGER;

-- END_WORKFLOW
UPDATE celers_workflows
SET state=:now_is::VARCHAR, completed_at=statement_timestamp(), error_message=:message::VARCHAR
WHERE celers_workflows.id = :workflow::UUID
  AND celers_workflows.state = :state_1::VARCHAR;

-- LIVE_MEMBERS
SELECT celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.id IN (SELECT step.task_id
    FROM celers_workflow_steps AS step
    WHERE step.workflow_id = :workflow::UUID
      AND step.state IS NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_task_edges
            WHERE celers_task_edges.child_id = step.task_id
              AND celers_task_edges.parent_id = step.workflow_id)))
  AND celers_tasks.workflow_id = :workflow::UUID
  AND celers_tasks.cancel_requested_at IS NULL
ORDER BY celers_tasks.id FOR UPDATE;

-- STOP_WORKFLOW
UPDATE celers_workflows
SET stopping_at=statement_timestamp(), cancel_reason=:reason::VARCHAR, error_message=:message::VARCHAR
WHERE celers_workflows.id = :workflow::UUID;

-- ASK_TO_STOP
UPDATE celers_tasks
SET cancel_requested_at=statement_timestamp(), cancel_reason=:reason::VARCHAR
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'processing';

-- ENDED_BY
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.ended_by IN (:ids, …)
  AND celers_workflow_steps.state = :state_1::VARCHAR;

-- SPARED
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps
JOIN celers_task_edges ON celers_task_edges.child_id = celers_workflow_steps.task_id
  AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
WHERE celers_task_edges.parent_id IN (:ids, …)
  AND celers_task_edges.policy = :policy_1::VARCHAR
  AND celers_workflow_steps.state = :state_1::VARCHAR;

-- UNENDED
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1::VARCHAR))
  AND celers_workflow_steps.state IN (:state_1, …);

-- CHILDREN_AMONG
SELECT DISTINCT celers_task_edges.child_id
FROM celers_task_edges
WHERE celers_task_edges.child_id IN (:ids, …);

-- BLOCK
UPDATE celers_tasks
SET state='blocked'
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'pending';

-- REOPEN_STEPS
UPDATE celers_workflow_steps
SET state=NULL, ended_at=NULL, error_message=NULL, ended_by=NULL
WHERE celers_workflow_steps.task_id IN (:ids, …);

-- REOPEN_WORKFLOWS
UPDATE celers_workflows
SET state=:state::VARCHAR, completed_at=NULL,
    expires_at=(statement_timestamp() + make_interval(secs => celers_workflows.timeout)), stopping_at=NULL,
    cancel_reason=NULL, error_message=NULL, checked_at=statement_timestamp()
WHERE celers_workflows.id IN (:ids, …);

-- OVERDUE
SELECT celers_workflows.id
FROM celers_workflows
WHERE celers_workflows.state = :state_1::VARCHAR
  AND celers_workflows.expires_at <= statement_timestamp()
  AND celers_workflows.stopping_at IS NULL
LIMIT :room FOR UPDATE SKIP LOCKED;

-- UNCHECKED
SELECT celers_workflows.id,
    celers_workflows.created_at < (statement_timestamp() + make_interval(secs => :grace)) AS is_old
FROM celers_workflows
WHERE celers_workflows.state = :state_1::VARCHAR
  AND celers_workflows.checked_at <= (statement_timestamp() + make_interval(secs => :before))
ORDER BY celers_workflows.checked_at
LIMIT :room FOR UPDATE SKIP LOCKED;

-- CHECKED
UPDATE celers_workflows
SET checked_at=statement_timestamp()
WHERE celers_workflows.id IN (:ids, …);

-- NOT_MOVING
SELECT celers_workflow_steps.task_id, celers_tasks.state
FROM celers_workflow_steps
LEFT OUTER JOIN celers_tasks ON celers_tasks.id = celers_workflow_steps.task_id
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND celers_workflow_steps.state IS NULL
  AND (celers_tasks.id IS NULL OR celers_tasks.state = 'blocked');

-- STRANDED
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.state = 'blocked'
  AND NOT (EXISTS (SELECT *
        FROM celers_workflow_steps
        WHERE celers_workflow_steps.task_id = celers_tasks.id))
LIMIT :room FOR UPDATE SKIP LOCKED;

-- ADOPT_WORKFLOW
INSERT INTO celers_workflows (id, name, created_at, checked_at)
VALUES (:workflow::UUID, :called::VARCHAR, statement_timestamp(), statement_timestamp())
ON CONFLICT DO NOTHING;

-- ADOPT_STEP
INSERT INTO celers_workflow_steps (workflow_id, task_id, position, name, delay)
VALUES (:workflow::UUID, :of_task::UUID, :place::INTEGER, :called::VARCHAR, :wait)
ON CONFLICT DO NOTHING;

-- ADOPT_EDGE
INSERT INTO celers_task_edges (child_id, parent_id, workflow_id, position, policy)
VALUES (:child::UUID, :parent::UUID, :workflow::UUID, :place::INTEGER, :tolerance::VARCHAR)
ON CONFLICT DO NOTHING;

-- PLACE_STEP
UPDATE celers_workflow_steps
SET position=:place::INTEGER, delay=:wait
WHERE celers_workflow_steps.workflow_id = :workflow::UUID
  AND celers_workflow_steps.task_id = :of_task::UUID;

-- NAME_STEP
UPDATE celers_workflow_steps
SET name=:called::VARCHAR
WHERE celers_workflow_steps.task_id = :of_task::UUID;

-- JOIN_WORKFLOW
UPDATE celers_tasks
SET state=:now_is::VARCHAR, workflow_id=:workflow::UUID
WHERE celers_tasks.id IN (:ids, …);

-- MARK
UPDATE celers_tasks
SET workflow_id=:workflow::UUID
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.workflow_id IS NULL;

-- STEPS_AMONG
SELECT DISTINCT celers_workflow_steps.task_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.task_id IN (:ids, …);

-- PARENT_IDS
SELECT celers_task_edges.parent_id
FROM celers_task_edges
WHERE celers_task_edges.child_id IN (:ids, …);

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
    celers_tasks.metadata, celers_tasks.workflow_id IS NOT NULL AS in_workflow;

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
    celers_tasks.metadata, celers_tasks.workflow_id IS NOT NULL AS in_workflow;

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
    celers_tasks.metadata, celers_tasks.workflow_id IS NOT NULL AS in_workflow;

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
SELECT count(gone.id) AS count_1,
    CASE WHEN (count(gone.id) != $3::BIGINT) THEN array_agg(gone.id) END AS anon_1
FROM gone
WHERE (SELECT count(pg_notify('celers_ended', '')) AS count_2
    WHERE NOT pg_try_advisory_xact_lock_shared(1667591282)) >= 0;

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
    FROM gone), stored AS (INSERT INTO celers_task_results (task_id, result, created_at, state, task_name,
        codec, runtime, expires_at)
    SELECT value.task_id AS task_id, value.result AS result, statement_timestamp() AS now_2, 'completed',
        value.task_name AS task_name, value.codec AS codec, value.runtime AS runtime,
        (statement_timestamp() + make_interval(secs => value.keep)) AS later_1
    FROM unnest($3::UUID[], $4::TEXT[], $5::BYTEA[], $6::TEXT[], $7::DOUBLE PRECISION[],
        $8::DOUBLE PRECISION[]) AS value(task_id, task_name, result, codec, runtime, keep), gone
    WHERE gone.id = value.task_id
    ON CONFLICT (task_id) DO UPDATE
    SET result = excluded.result, created_at = excluded.created_at, state = excluded.state,
        task_name = excluded.task_name, codec = excluded.codec, runtime = excluded.runtime,
        error_type = excluded.error_type, error_message = excluded.error_message,
        error_data = excluded.error_data, traceback = excluded.traceback, expires_at = excluded.expires_at)
SELECT count(gone.id) AS count_1,
    CASE WHEN (count(gone.id) != $9::BIGINT) THEN array_agg(gone.id) END AS anon_1
FROM gone
WHERE (SELECT count(pg_notify('celers_ended', '')) AS count_2
    WHERE NOT pg_try_advisory_xact_lock_shared(1667591282)) >= 0;

-- DISCARD, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($2::UUID[], $3::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id)
SELECT count(gone.id) AS count_1,
    CASE WHEN (count(gone.id) != $1::BIGINT) THEN array_agg(gone.id) END AS anon_1
FROM gone
WHERE (SELECT count(pg_notify('celers_ended', '')) AS count_2
    WHERE NOT pg_try_advisory_xact_lock_shared(1667591282)) >= 0;

-- DISCARD_WITH_RESULTS, on asyncpg
WITH gone AS (DELETE FROM celers_tasks USING unnest($7::UUID[], $8::BIGINT[]) AS held(id, lease)
    WHERE celers_tasks.id = held.id
      AND celers_tasks.lease = held.lease
    RETURNING celers_tasks.id), stored AS (INSERT INTO celers_task_results (task_id, result, created_at,
        state, task_name, codec, runtime, expires_at)
    SELECT value.task_id AS task_id, value.result AS result, statement_timestamp() AS now_1, 'completed',
        value.task_name AS task_name, value.codec AS codec, value.runtime AS runtime,
        (statement_timestamp() + make_interval(secs => value.keep)) AS later_1
    FROM unnest($1::UUID[], $2::TEXT[], $3::BYTEA[], $4::TEXT[], $5::DOUBLE PRECISION[],
        $6::DOUBLE PRECISION[]) AS value(task_id, task_name, result, codec, runtime, keep), gone
    WHERE gone.id = value.task_id
    ON CONFLICT (task_id) DO UPDATE
    SET result = excluded.result, created_at = excluded.created_at, state = excluded.state,
        task_name = excluded.task_name, codec = excluded.codec, runtime = excluded.runtime,
        error_type = excluded.error_type, error_message = excluded.error_message,
        error_data = excluded.error_data, traceback = excluded.traceback, expires_at = excluded.expires_at)
SELECT count(gone.id) AS count_1,
    CASE WHEN (count(gone.id) != $9::BIGINT) THEN array_agg(gone.id) END AS anon_1
FROM gone
WHERE (SELECT count(pg_notify('celers_ended', '')) AS count_2
    WHERE NOT pg_try_advisory_xact_lock_shared(1667591282)) >= 0;

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

-- END_FROZEN, on asyncpg
SELECT pg_terminate_backend(pg_stat_activity.pid) AS pg_terminate_backend_1
FROM pg_stat_activity
WHERE pg_stat_activity.datname = current_database()
  AND pg_stat_activity.application_name = current_setting($1::VARCHAR)
  AND pg_stat_activity.state = $2::VARCHAR
  AND pg_stat_activity.wait_event = $3::VARCHAR
  AND pg_has_role(pg_stat_activity.usesysid, $4::VARCHAR)
  AND pg_stat_activity.state_change < (statement_timestamp() + make_interval(secs => -$5::FLOAT));

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

-- UPKEEP_DUE, on asyncpg
SELECT EXISTS (SELECT celers_workers.id
    FROM celers_workers
    WHERE celers_workers.expires_at <= statement_timestamp()
      AND celers_workers.state != $1::VARCHAR) AS anon_1, EXISTS (SELECT *
    FROM celers_workflows
    WHERE celers_workflows.state = $2::VARCHAR) AS anon_2, EXISTS (SELECT celers_schedules.name
    FROM celers_schedules) AS anon_3, EXISTS (SELECT 1
    FROM pg_stat_activity
    WHERE pg_stat_activity.datname = current_database()
      AND pg_stat_activity.application_name = current_setting($3::VARCHAR)
      AND pg_stat_activity.state = $4::VARCHAR
      AND pg_stat_activity.wait_event = $5::VARCHAR
      AND pg_has_role(pg_stat_activity.usesysid, $6::VARCHAR)
      AND pg_stat_activity.state_change < (statement_timestamp() + make_interval(secs => -$7::FLOAT))) AS anon_4;

-- enqueue_many, differing in ids, payloads, on asyncpg
WITH added AS (INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at,
    scheduled_at, metadata, queue_name, timeout, expires_at, fingerprint)
    SELECT "new".id AS id, $1::VARCHAR AS anon_1, "new".payload AS payload, 'pending', $2::INTEGER AS anon_2,
        $3::INTEGER AS anon_3, statement_timestamp() AS now_1, coalesce($4::TIMESTAMP WITH TIME ZONE,
        (statement_timestamp() + make_interval(secs => $5::FLOAT))) AS coalesce_1,
        CAST($6::VARCHAR AS JSONB) AS anon_4, $7::VARCHAR AS anon_5, $8::FLOAT AS anon_6,
        (statement_timestamp() + make_interval(secs => $9::FLOAT)) AS later_1, $10::VARCHAR AS anon_7
    FROM unnest($11::UUID[], $12::BYTEA[]) AS "new"(id, payload))
SELECT pg_notify($13::VARCHAR, announced.queue_name) AS pg_notify_1
FROM unnest($14::TEXT[]) AS announced(queue_name)
WHERE pg_try_advisory_xact_lock(1667591269, hashtext(announced.queue_name));

-- enqueue_many, differing in ids, payloads, priorities, documents, on asyncpg
WITH added AS (INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at,
    scheduled_at, metadata, queue_name, timeout, expires_at, fingerprint)
    SELECT "new".id AS id, $1::VARCHAR AS anon_1, "new".payload AS payload, 'pending',
        "new".priority AS priority, $2::INTEGER AS anon_2, statement_timestamp() AS now_1,
        coalesce($3::TIMESTAMP WITH TIME ZONE,
        (statement_timestamp() + make_interval(secs => $4::FLOAT))) AS coalesce_1,
        CAST("new".metadata AS JSONB) AS metadata, $5::VARCHAR AS anon_3, $6::FLOAT AS anon_4,
        (statement_timestamp() + make_interval(secs => $7::FLOAT)) AS later_1, $8::VARCHAR AS anon_5
    FROM unnest($9::UUID[], $10::BYTEA[], $11::INTEGER[], $12::TEXT[]) AS "new"(id, payload, priority,
        metadata))
SELECT pg_notify($13::VARCHAR, announced.queue_name) AS pg_notify_1
FROM unnest($14::TEXT[]) AS announced(queue_name)
WHERE pg_try_advisory_xact_lock(1667591269, hashtext(announced.queue_name));
