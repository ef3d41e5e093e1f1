-- Written by `make sql` from celers_worker/store: do not edit.

-- INSERT_TASKS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, 'pending', :new_priority, :new_max_retries, UTC_TIMESTAMP(6),
    coalesce(:new_at, TIMESTAMPADD(MICROSECOND, ROUND(:new_delay * 1000000), UTC_TIMESTAMP(6))),
    :new_metadata, :new_queue, :new_timeout, TIMESTAMPADD(MICROSECOND, ROUND(:new_expires * 1000000),
    UTC_TIMESTAMP(6)), :new_unique_key, :new_fingerprint);

-- INSERT_TASKS_UNLESS_KNOWN
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, 'pending', :new_priority, :new_max_retries, UTC_TIMESTAMP(6),
    coalesce(:new_at, TIMESTAMPADD(MICROSECOND, ROUND(:new_delay * 1000000), UTC_TIMESTAMP(6))),
    :new_metadata, :new_queue, :new_timeout, TIMESTAMPADD(MICROSECOND, ROUND(:new_expires * 1000000),
    UTC_TIMESTAMP(6)), :new_unique_key, :new_fingerprint)
ON DUPLICATE KEY
UPDATE celers_tasks.id = celers_tasks.id;

-- INSERT_ROWS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, :new_state, :new_priority, :new_max_retries, :new_created_at,
    :new_scheduled_at, :new_metadata, :new_queue, :new_timeout, :new_expires_at, :new_unique_key,
    :new_fingerprint);

-- INSERT_ROWS_UNLESS_KNOWN
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, :new_state, :new_priority, :new_max_retries, :new_created_at,
    :new_scheduled_at, :new_metadata, :new_queue, :new_timeout, :new_expires_at, :new_unique_key,
    :new_fingerprint)
ON DUPLICATE KEY
UPDATE celers_tasks.id = celers_tasks.id;

-- NOW
SELECT UTC_TIMESTAMP(6) AS now_1;

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
SELECT celers_tasks.id, celers_tasks.lease + :lease_1 AS lease, celers_tasks.task_name,
    celers_tasks.queue_name, celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count,
    celers_tasks.crash_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    UTC_TIMESTAMP(6) AS started_at, celers_tasks.timeout,
    coalesce(celers_tasks.expires_at <= UTC_TIMESTAMP(6), :param_1) AS expired, celers_tasks.metadata,
    celers_tasks.workflow_id IS NOT NULL AS in_workflow
FROM celers_tasks FORCE INDEX (idx_tasks_state_queue)
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority = :at_priority
  AND celers_tasks.scheduled_at >= :mark
  AND celers_tasks.scheduled_at <= UTC_TIMESTAMP(6)
  AND (celers_tasks.task_name NOT IN (:excluded, …))
  AND NOT (EXISTS (SELECT *
        FROM celers_queues
        WHERE celers_queues.name = :queue
          AND celers_queues.paused_at IS NOT NULL))
ORDER BY celers_tasks.scheduled_at, celers_tasks.id
LIMIT :room FOR UPDATE SKIP LOCKED;

-- LEASE
UPDATE celers_tasks FORCE INDEX (PRIMARY)
SET state='processing', started_at=UTC_TIMESTAMP(6), worker_id=:worker, lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id IN (:ids, …);

-- HELD
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason,
    celers_tasks.workflow_id
FROM celers_tasks FORCE INDEX (PRIMARY)
WHERE celers_tasks.id IN (:ids, …)
ORDER BY celers_tasks.id FOR UPDATE;

-- ARCHIVE[completed]
INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'completed', celers_tasks.priority,
    celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    celers_tasks.started_at, UTC_TIMESTAMP(6) AS now_1, celers_tasks.worker_id, coalesce(:message,
    celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata, celers_tasks.queue_name,
    celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout, celers_tasks.expires_at,
    celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id,
    celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
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
    celers_tasks.started_at, UTC_TIMESTAMP(6) AS now_1, celers_tasks.worker_id, coalesce(:message,
    celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata, celers_tasks.queue_name,
    celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout, celers_tasks.expires_at,
    celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id,
    celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
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
    celers_tasks.started_at, UTC_TIMESTAMP(6) AS now_1, celers_tasks.worker_id, coalesce(:message,
    celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata, celers_tasks.queue_name,
    celers_tasks.lease, celers_tasks.crash_count, celers_tasks.timeout, celers_tasks.expires_at,
    celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id,
    celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- DELETE_TASKS
DELETE celers_tasks
FROM JSON_TABLE(:ids,
    '$[*]' COLUMNS (id CHAR(36) CHARACTER SET ascii COLLATE ascii_general_ci PATH '$')) AS gone
STRAIGHT_JOIN celers_tasks FORCE INDEX (PRIMARY) ON celers_tasks.id = gone.id;

-- BURY
INSERT INTO celers_dead_letter_queue (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason, failed_at, reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'failed', celers_tasks.priority,
    celers_tasks.retry_count + :failed AS anon_1, celers_tasks.max_retries, celers_tasks.created_at,
    celers_tasks.scheduled_at, celers_tasks.started_at, UTC_TIMESTAMP(6) AS now_1, celers_tasks.worker_id,
    :message AS anon_2, celers_tasks.metadata, celers_tasks.queue_name, celers_tasks.lease,
    celers_tasks.crash_count + :crashed AS anon_3, celers_tasks.timeout, celers_tasks.expires_at,
    celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id, celers_tasks.chord_id,
    celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason, UTC_TIMESTAMP(6) AS now_2, :why AS anon_4
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- INSERT_ATTEMPT
INSERT INTO celers_task_attempts (task_id, lease, attempt, worker_id, started_at, failed_at, error_type,
    error_message, traceback)
VALUES (:of_task, :with_lease, :number, :worker, :since, UTC_TIMESTAMP(6), :kind, :message, :trace)
ON DUPLICATE KEY UPDATE celers_task_attempts.task_id = celers_task_attempts.task_id;

-- RETRY
UPDATE celers_tasks
SET state='pending', retry_count=(celers_tasks.retry_count + :retry_count_1),
    scheduled_at=TIMESTAMPADD(MICROSECOND, ROUND(:wait * 1000000), UTC_TIMESTAMP(6)), started_at=NULL,
    worker_id=NULL, error_message=:message, lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id = :task_id;

-- RELEASE
UPDATE celers_tasks
SET state='pending', scheduled_at=coalesce(TIMESTAMPADD(MICROSECOND, ROUND(:wait * 1000000),
    UTC_TIMESTAMP(6)), celers_tasks.scheduled_at), started_at=NULL, worker_id=NULL,
    error_message=coalesce(:message, celers_tasks.error_message), lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id = :task_id;

-- RELEASE_CRASHED
UPDATE celers_tasks
SET state='pending', started_at=NULL, worker_id=NULL, error_message=:message,
    lease=(celers_tasks.lease + :lease_1), crash_count=(celers_tasks.crash_count + :crash_count_1)
WHERE celers_tasks.id = :task_id;

-- FORGET_RESULTS
DELETE FROM celers_task_results
WHERE celers_task_results.task_id IN (:ids, …);

-- INSERT_RESULT
INSERT INTO celers_task_results (task_id, result, created_at, state, task_name, codec, runtime, error_type,
    error_message, error_data, traceback, expires_at)
VALUES (:of_task, :value, UTC_TIMESTAMP(6), :ended_as, :of_name, :coded, :seconds, :kind, :message, :data,
    :trace, TIMESTAMPADD(MICROSECOND, ROUND(:keep * 1000000), UTC_TIMESTAMP(6)))
ON DUPLICATE KEY UPDATE result =
VALUES(result), created_at =
VALUES(created_at), state =
VALUES(state), task_name =
VALUES(task_name), codec =
VALUES(codec), runtime =
VALUES(runtime), error_type =
VALUES(error_type), error_message =
VALUES(error_message), error_data =
VALUES(error_data), traceback =
VALUES(traceback), expires_at =
VALUES(expires_at);

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
  AND (celers_task_results.expires_at IS NULL OR celers_task_results.expires_at > UTC_TIMESTAMP(6));

-- FAILED_ATTEMPTS
SELECT celers_task_attempts.task_id, celers_task_attempts.error_type, celers_task_attempts.error_message,
    celers_task_attempts.traceback
FROM celers_task_attempts
WHERE celers_task_attempts.task_id IN (:ids, …)
ORDER BY celers_task_attempts.task_id, celers_task_attempts.lease;

-- sweep of two queues
WITH RECURSIVE `each` AS (SELECT CAST(:queue_0 AS CHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin) AS queue_name
    UNION ALL
    SELECT CAST(:queue_1 AS CHAR(128) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin) AS queue_name),
        level(queue_name, priority) AS (SELECT `each`.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = `each`.queue_name
        ORDER BY t.priority DESC
        LIMIT :param_2) AS priority
    FROM `each`
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_3) AS anon_1
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1), TIMESTAMPADD(MICROSECOND, ROUND(3155760000 * 1000000),
            UTC_TIMESTAMP(6))) AS first_due_at, UTC_TIMESTAMP(6) AS now
FROM level
WHERE level.priority IS NOT NULL;

-- sweep of every queue
WITH RECURSIVE `each`(queue_name) AS (SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
        ORDER BY every.queue_name
        LIMIT :param_3) AS queue_name
    UNION ALL
    SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
          AND every.queue_name > `each`.queue_name
        ORDER BY every.queue_name
        LIMIT :param_4) AS anon_1
    FROM `each`
    WHERE `each`.queue_name IS NOT NULL), level(queue_name,
        priority) AS (SELECT `each`.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = `each`.queue_name
        ORDER BY t.priority DESC
        LIMIT :param_2) AS priority
    FROM `each`
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_5) AS anon_2
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, least((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1), TIMESTAMPADD(MICROSECOND, ROUND(3155760000 * 1000000),
            UTC_TIMESTAMP(6))) AS first_due_at, UTC_TIMESTAMP(6) AS now
FROM level
WHERE level.priority IS NOT NULL;

-- FIRST_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
ORDER BY celers_tasks.queue_name
LIMIT :param_1;

-- NEXT_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name > :queue
ORDER BY celers_tasks.queue_name
LIMIT :param_1;

-- TOP_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
ORDER BY celers_tasks.priority DESC
LIMIT :param_1;

-- NEXT_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority < :at_priority
ORDER BY celers_tasks.priority DESC
LIMIT :param_1;

-- FIRST_OF_LEVEL
SELECT least(celers_tasks.scheduled_at, TIMESTAMPADD(MICROSECOND, ROUND(3155760000 * 1000000),
    UTC_TIMESTAMP(6))) AS earlier_1, UTC_TIMESTAMP(6) AS now_1
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority = :at_priority
ORDER BY celers_tasks.scheduled_at
LIMIT :param_1;

-- UNADOPTED_TASKS
SELECT celers_tasks.id, celers_tasks.metadata, celers_tasks.task_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue_name_1
LIMIT :param_1 FOR UPDATE SKIP LOCKED;

-- ADOPT
UPDATE celers_tasks
SET queue_name=:to_queue, timeout=:to_timeout, group_id=:to_group, chord_id=:to_chord
WHERE celers_tasks.id = :task_id;

-- REGISTER_WORKER
INSERT INTO celers_workers (id, name, host, pid, version, queues, handlers, concurrency, state, started_at,
    heartbeat_at, expires_at, limits, wanted_state, wanted_concurrency, wanted_by, suspect_lease)
VALUES (:worker, :label, :on_host, :process, :of_version, :serves, :knows, :permits, :in_state,
    UTC_TIMESTAMP(6), UTC_TIMESTAMP(6), TIMESTAMPADD(MICROSECOND, ROUND(:lease_seconds * 1000000),
    UTC_TIMESTAMP(6)), :limited, :told_state, :told_concurrency, :told_by, :begun);

-- RENEW_WORKER
UPDATE celers_workers
SET running=coalesce(:runs, celers_workers.running), state=coalesce(:in_state, celers_workers.state),
    heartbeat_at=UTC_TIMESTAMP(6), expires_at=TIMESTAMPADD(MICROSECOND, ROUND(:lease_seconds * 1000000),
    UTC_TIMESTAMP(6))
WHERE celers_workers.id = :worker
  AND celers_workers.expires_at > UTC_TIMESTAMP(6);

-- ORDERS
SELECT celers_workers.wanted_state, celers_workers.wanted_concurrency, celers_workers.wanted_by,
    celers_handlers.name AS handler, celers_handlers.paused_at IS NOT NULL AS paused,
    celers_handlers.opened_at IS NOT NULL AS open, -(TIMESTAMPDIFF(MICROSECOND, celers_handlers.probe_at,
    UTC_TIMESTAMP(6)) / 1000000.0) AS probe_in
FROM celers_workers
LEFT OUTER JOIN celers_handlers ON celers_handlers.paused_at IS NOT NULL OR celers_handlers.opened_at IS NOT NULL
WHERE celers_workers.id = :worker;

-- RENEW_AND_READ
WITH renewed AS (UPDATE celers_workers
    SET running=coalesce(:runs, celers_workers.running), state=coalesce(:in_state, celers_workers.state),
        heartbeat_at=UTC_TIMESTAMP(6), expires_at=TIMESTAMPADD(MICROSECOND, ROUND(:lease_seconds * 1000000),
        UTC_TIMESTAMP(6))
    WHERE celers_workers.id = :worker
      AND celers_workers.expires_at > UTC_TIMESTAMP(6)
    RETURNING celers_workers.wanted_state, celers_workers.wanted_concurrency, celers_workers.wanted_by)
SELECT renewed.wanted_state, renewed.wanted_concurrency, renewed.wanted_by, celers_handlers.name AS handler,
    celers_handlers.paused_at IS NOT NULL AS paused, celers_handlers.opened_at IS NOT NULL AS open,
    -(TIMESTAMPDIFF(MICROSECOND, celers_handlers.probe_at, UTC_TIMESTAMP(6)) / 1000000.0) AS probe_in
FROM renewed
LEFT OUTER JOIN celers_handlers ON celers_handlers.paused_at IS NOT NULL OR celers_handlers.opened_at IS NOT NULL;

-- PUBLISH_LIMITS
UPDATE celers_workers
SET concurrency=:permits, limits=:limited
WHERE celers_workers.id = :worker;

-- MARK_SUSPECT
UPDATE celers_workers
SET suspect_id=:task_id, suspect_lease=:begun
WHERE celers_workers.id = :worker
  AND celers_workers.expires_at > UTC_TIMESTAMP(6);

-- DEREGISTER_WORKER
DELETE FROM celers_workers
WHERE celers_workers.id = :worker;

-- LEASES
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- TASKS_OF_WORKER
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND celers_tasks.worker_id = :worker FOR UPDATE SKIP LOCKED;

-- LOST_WORKERS
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= UTC_TIMESTAMP(6)
  AND celers_workers.state != :state_1;

-- LOST_WORKERS_LET_GO
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= UTC_TIMESTAMP(6)
  AND celers_workers.state != :state_1
  AND celers_workers.id IN (:lost, …) FOR UPDATE SKIP LOCKED;

-- MARK_LOST
UPDATE celers_workers
SET running=:running, state=:state
WHERE celers_workers.id = :worker
  AND celers_workers.expires_at <= UTC_TIMESTAMP(6);

-- NOTE_END
UPDATE celers_workers
SET expires_at=CASE WHEN (celers_workers.expires_at > UTC_TIMESTAMP(6)) THEN UTC_TIMESTAMP(6) ELSE celers_workers.expires_at END,
    ended_by=:how
WHERE celers_workers.id = :worker;

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
          AND celers_workers.expires_at > UTC_TIMESTAMP(6)))
LIMIT :room FOR UPDATE SKIP LOCKED;

-- COUNT_ORPHANS
SELECT count(*) AS count_1
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND (celers_tasks.worker_id IS NOT NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_workers
            WHERE celers_workers.id = celers_tasks.worker_id
              AND celers_workers.expires_at > UTC_TIMESTAMP(6))) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at, celers_tasks.created_at) < TIMESTAMPADD(MICROSECOND,
        ROUND(:stuck * 1000000), UTC_TIMESTAMP(6)));

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
              AND celers_workers.expires_at > UTC_TIMESTAMP(6))) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at, celers_tasks.created_at) < TIMESTAMPADD(MICROSECOND,
        ROUND(:stuck * 1000000), UTC_TIMESTAMP(6)))
LIMIT :room FOR UPDATE SKIP LOCKED;

-- OWNERS
SELECT celers_tasks.unique_key, celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.unique_key IN (:keys, …);

-- ADD_WINDOW
INSERT INTO celers_unique_windows (unique_key, task_id, expires_at)
VALUES (:of_key, :of_task, TIMESTAMPADD(MICROSECOND, ROUND(:window * 1000000), UTC_TIMESTAMP(6)))
ON DUPLICATE KEY UPDATE celers_unique_windows.unique_key = celers_unique_windows.unique_key;

-- TAKE_WINDOW
UPDATE celers_unique_windows
SET task_id=:of_task, expires_at=TIMESTAMPADD(MICROSECOND, ROUND(:window * 1000000), UTC_TIMESTAMP(6))
WHERE celers_unique_windows.unique_key = :key
  AND celers_unique_windows.expires_at <= UTC_TIMESTAMP(6);

-- WINDOWS
SELECT celers_unique_windows.unique_key, celers_unique_windows.task_id
FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.expires_at > UTC_TIMESTAMP(6);

-- FREE_WINDOWS
DELETE FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.task_id IN (:ids, …);

-- REPLACE
UPDATE celers_tasks
SET task_name=:new_name, payload=:new_payload, priority=:new_priority, retry_count=0,
    max_retries=:new_max_retries, scheduled_at=coalesce(:new_at, TIMESTAMPADD(MICROSECOND,
    ROUND(:new_delay * 1000000), UTC_TIMESTAMP(6))), error_message=NULL, metadata=:new_metadata,
    queue_name=:new_queue, lease=(celers_tasks.lease + :lease_1), crash_count=0, timeout=:new_timeout,
    expires_at=TIMESTAMPADD(MICROSECOND, ROUND(:new_expires * 1000000), UTC_TIMESTAMP(6)),
    fingerprint=:new_fingerprint
WHERE celers_tasks.id = :owner
  AND celers_tasks.unique_key = :key
  AND celers_tasks.state = 'pending';

-- DEBOUNCE
UPDATE celers_tasks
SET task_name=:new_name, payload=:new_payload, priority=:new_priority, retry_count=0,
    max_retries=:new_max_retries, scheduled_at=TIMESTAMPADD(MICROSECOND,
    ROUND(CASE WHEN (:longest - (TIMESTAMPDIFF(MICROSECOND, celers_tasks.created_at,
    UTC_TIMESTAMP(6)) / 1000000.0) < :param_1) THEN 0 WHEN (:longest - (TIMESTAMPDIFF(MICROSECOND,
    celers_tasks.created_at,
    UTC_TIMESTAMP(6)) / 1000000.0) < :pause) THEN :longest - (TIMESTAMPDIFF(MICROSECOND,
    celers_tasks.created_at, UTC_TIMESTAMP(6)) / 1000000.0) ELSE :pause END * 1000000), UTC_TIMESTAMP(6)),
    error_message=NULL, metadata=:new_metadata, queue_name=:new_queue, lease=(celers_tasks.lease + :lease_1),
    crash_count=0, timeout=:new_timeout, expires_at=TIMESTAMPADD(MICROSECOND, ROUND(:new_expires * 1000000),
    UTC_TIMESTAMP(6)), fingerprint=:new_fingerprint
WHERE celers_tasks.id = :owner
  AND celers_tasks.unique_key = :key
  AND celers_tasks.state = 'pending';

-- SUPERSEDE
UPDATE celers_tasks
SET unique_key=NULL, cancel_reason=coalesce(celers_tasks.cancel_reason, :coalesce_1)
WHERE celers_tasks.id = :owner
  AND celers_tasks.unique_key = :key
  AND celers_tasks.state = 'processing';

-- OWNERS
SELECT celers_tasks.unique_key, celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.unique_key IN (:keys, …);

-- WINDOWS
SELECT celers_unique_windows.unique_key, celers_unique_windows.task_id
FROM celers_unique_windows
WHERE celers_unique_windows.unique_key IN (:keys, …)
  AND celers_unique_windows.expires_at > UTC_TIMESTAMP(6);

-- WAITING
SELECT count(*) AS count_1
FROM (SELECT 1 AS one
    FROM celers_tasks
    WHERE celers_tasks.state = 'pending'
      AND celers_tasks.queue_name = :queue
    LIMIT :room) AS waiting;

-- ADD_LIMIT
INSERT INTO celers_limits (name)
VALUES (:of_name)
ON DUPLICATE KEY UPDATE celers_limits.name = celers_limits.name;

-- LOCK_LIMIT
SELECT (TIMESTAMPDIFF(MICROSECOND, celers_limits.free_at, UTC_TIMESTAMP(6)) / 1000000.0) AS ago
FROM celers_limits
WHERE celers_limits.name = :of_name FOR UPDATE;

-- BOOK_LIMIT
UPDATE celers_limits
SET free_at=TIMESTAMPADD(MICROSECOND, ROUND(:until * 1000000), UTC_TIMESTAMP(6))
WHERE celers_limits.name = :of_name;

-- HOLDERS
SELECT celers_limit_holders.task_id, celers_tasks.id AS runs
FROM celers_limit_holders
LEFT OUTER JOIN celers_tasks ON celers_tasks.id = celers_limit_holders.task_id
  AND celers_tasks.lease = celers_limit_holders.lease
  AND celers_tasks.state = 'processing'
WHERE celers_limit_holders.limit_name = :of_name;

-- HOLD
INSERT INTO celers_limit_holders (limit_name, task_id, lease)
VALUES (:of_name, :of_task, :with_lease)
ON DUPLICATE KEY UPDATE celers_limit_holders.limit_name = celers_limit_holders.limit_name;

-- LET_GO
DELETE FROM celers_limit_holders
WHERE celers_limit_holders.limit_name = :of_name
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
WHERE celers_limits.free_at < TIMESTAMPADD(MICROSECOND, ROUND(:later_1 * 1000000), UTC_TIMESTAMP(6))
  AND celers_limit_holders.task_id IS NULL
LIMIT :room;

-- FORGET_LIMITS
DELETE FROM celers_limits
WHERE celers_limits.name IN (:names, …)
  AND celers_limits.free_at < TIMESTAMPADD(MICROSECOND, ROUND(:later_1 * 1000000), UTC_TIMESTAMP(6));

-- DECLARED
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, UTC_TIMESTAMP(6) AS read_at
FROM celers_schedules
WHERE celers_schedules.name IN (:names, …)
ORDER BY celers_schedules.name FOR UPDATE;

-- ADD_SCHEDULE
INSERT INTO celers_schedules (name, source, task_name, payload, options, cron, interval_seconds, time_zone,
    misfire, misfire_after, catch_up, overlap, jitter, due_after, next_tick, created_at, changed_at, seen_at)
VALUES (:of_schedule, :from_source, :of_task, :with_payload, :with_options, :by_cron, :by_interval, :in_zone,
    :if_late, :late_after, :at_most, :if_busy, :spread, :done_until, :next_at, UTC_TIMESTAMP(6),
    UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE celers_schedules.name = celers_schedules.name;

-- CHANGE_SCHEDULE
UPDATE celers_schedules
SET source=:from_source, task_name=:of_task, payload=:with_payload, options=:with_options, cron=:by_cron,
    interval_seconds=:by_interval, time_zone=:in_zone, misfire=:if_late, misfire_after=:late_after,
    catch_up=:at_most, overlap=:if_busy, jitter=:spread, due_after=:done_until, next_tick=:next_at,
    changed_at=UTC_TIMESTAMP(6), seen_at=UTC_TIMESTAMP(6)
WHERE celers_schedules.name = :of_schedule;

-- SEE_SCHEDULES
UPDATE celers_schedules
SET seen_at=UTC_TIMESTAMP(6)
WHERE celers_schedules.name IN (:names, …)
  AND celers_schedules.seen_at < TIMESTAMPADD(MICROSECOND, ROUND(:ago * 1000000), UTC_TIMESTAMP(6));

-- LOOK
SELECT min(CASE WHEN (celers_schedules.paused_at IS NOT NULL) THEN NULL WHEN (celers_schedules.due_after > UTC_TIMESTAMP(6) OR celers_schedules.waiting_tick IS NOT NULL) THEN 0 ELSE -(TIMESTAMPDIFF(MICROSECOND,
    celers_schedules.next_tick, UTC_TIMESTAMP(6)) / 1000000.0) END) AS due_in,
    sum(CASE WHEN (celers_schedules.name IN (:declared, …)) THEN 1 ELSE 0 END) AS present,
    max(CASE WHEN (celers_schedules.name IN (:declared, …)) THEN (TIMESTAMPDIFF(MICROSECOND,
    celers_schedules.seen_at, UTC_TIMESTAMP(6)) / 1000000.0) END) AS unseen
FROM celers_schedules
WHERE (celers_schedules.source = :source_1 OR celers_schedules.name IN (:declared, …))
  AND (celers_schedules.name NOT IN (:unreadable, …));

-- DUE_SCHEDULES
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, UTC_TIMESTAMP(6) AS read_at
FROM celers_schedules
WHERE (celers_schedules.source = :source_1 OR celers_schedules.name IN (:declared, …))
  AND (celers_schedules.name NOT IN (:unreadable, …))
  AND celers_schedules.paused_at IS NULL
  AND (celers_schedules.next_tick <= UTC_TIMESTAMP(6) OR celers_schedules.due_after > UTC_TIMESTAMP(6) OR celers_schedules.waiting_tick IS NOT NULL)
ORDER BY celers_schedules.next_tick, celers_schedules.name
LIMIT :room FOR UPDATE SKIP LOCKED;

-- IS_LIVE
SELECT celers_tasks.id
FROM celers_tasks
WHERE celers_tasks.id = :task_id;

-- ADD_TICKS
INSERT INTO celers_schedule_ticks (schedule_name, tick, outcome, since, task_id, decided_at)
VALUES (:of_schedule, :at_tick, :came_to, :since_tick, :with_task, UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE celers_schedule_ticks.schedule_name = celers_schedule_ticks.schedule_name;

-- TASKS_OF_TICKS
SELECT celers_schedule_ticks.task_id
FROM celers_schedule_ticks
WHERE celers_schedule_ticks.schedule_name = :of_schedule
  AND celers_schedule_ticks.tick IN (:ticks, …)
  AND celers_schedule_ticks.task_id IS NOT NULL;

-- ADVANCE
UPDATE celers_schedules
SET due_after=:done_until, next_tick=:next_at, waiting_tick=:held_at, last_task_id=coalesce(:last_id,
    celers_schedules.last_task_id)
WHERE celers_schedules.name = :of_schedule;

-- ONE_SCHEDULE
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, UTC_TIMESTAMP(6) AS read_at
FROM celers_schedules
WHERE celers_schedules.name = :of_schedule;

-- LOCKED_SCHEDULE
SELECT celers_schedules.name, celers_schedules.source, celers_schedules.task_name, celers_schedules.payload,
    celers_schedules.options, celers_schedules.cron, celers_schedules.interval_seconds,
    celers_schedules.time_zone, celers_schedules.misfire, celers_schedules.misfire_after,
    celers_schedules.catch_up, celers_schedules.overlap, celers_schedules.jitter, celers_schedules.due_after,
    celers_schedules.next_tick, celers_schedules.waiting_tick, celers_schedules.last_task_id,
    celers_schedules.paused_at, celers_schedules.paused_reason, celers_schedules.created_at,
    celers_schedules.changed_at, celers_schedules.seen_at, UTC_TIMESTAMP(6) AS read_at
FROM celers_schedules
WHERE celers_schedules.name = :of_schedule FOR UPDATE;

-- PAUSE_SCHEDULE
UPDATE celers_schedules
SET paused_at=coalesce(celers_schedules.paused_at, UTC_TIMESTAMP(6)), paused_reason=:why
WHERE celers_schedules.name = :of_schedule;

-- RESUME_SCHEDULE
UPDATE celers_schedules
SET due_after=:done_until, next_tick=:next_at, waiting_tick=:waiting_tick, paused_at=:paused_at,
    paused_reason=:paused_reason
WHERE celers_schedules.name = :of_schedule;

-- TRIGGERED
UPDATE celers_schedules
SET last_task_id=:last_id
WHERE celers_schedules.name = :of_schedule;

-- REMOVE_SCHEDULE
DELETE FROM celers_schedules
WHERE celers_schedules.name = :of_schedule;

-- OLD_TICKS_BEYOND
SELECT celers_schedule_ticks.decided_at
FROM celers_schedule_ticks
WHERE celers_schedule_ticks.decided_at < TIMESTAMPADD(MICROSECOND, ROUND(:ago * 1000000), UTC_TIMESTAMP(6))
ORDER BY celers_schedule_ticks.decided_at
LIMIT :room, :param_1;

-- DELETE_TICKS
DELETE FROM celers_schedule_ticks
WHERE celers_schedule_ticks.decided_at < TIMESTAMPADD(MICROSECOND, ROUND(:ago * 1000000), UTC_TIMESTAMP(6))
  AND celers_schedule_ticks.decided_at < coalesce(:beyond, UTC_TIMESTAMP(6));

-- DELETE_UNDECLARED
DELETE FROM celers_schedules
WHERE celers_schedules.source != :source_1
  AND celers_schedules.seen_at < TIMESTAMPADD(MICROSECOND, ROUND(:ago * 1000000), UTC_TIMESTAMP(6));

-- INSERT_ROWS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, :new_state, :new_priority, :new_max_retries, :new_created_at,
    :new_scheduled_at, :new_metadata, :new_queue, :new_timeout, :new_expires_at, :new_unique_key,
    :new_fingerprint);

-- INSERT_WORKFLOW
INSERT INTO celers_workflows (id, name, created_at, timeout, expires_at, result, checked_at)
VALUES (:workflow, :called, :since, :seconds, :until, :shape, :since);

-- INSERT_STEP
INSERT INTO celers_workflow_steps (workflow_id, task_id, position, name, delay, template)
VALUES (:workflow, :of_task, :place, :called, :wait, :before);

-- INSERT_EDGE
INSERT INTO celers_task_edges (child_id, parent_id, workflow_id, position, policy, path)
VALUES (:child, :parent, :workflow, :place, :tolerance, :goes_to);

-- INSERT_MEMBERS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint, workflow_id)
VALUES (:new_id, :new_name, :new_payload, :new_state, :new_priority, :new_max_retries, :new_created_at,
    :new_scheduled_at, :new_metadata, :new_queue, :new_timeout, :new_expires_at, :new_unique_key,
    :new_fingerprint, :workflow);

-- KNOWN_WORKFLOW
SELECT celers_workflows.id
FROM celers_workflows
WHERE celers_workflows.id = :workflow;

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
SET state=:now_is, ended_at=UTC_TIMESTAMP(6), error_message=:message, ended_by=:because
WHERE celers_workflow_steps.task_id IN (:ids, …)
  AND celers_workflow_steps.state IS NULL;

-- CHILDREN
SELECT DISTINCT celers_task_edges.child_id, celers_task_edges.policy, celers_task_edges.parent_id
FROM celers_task_edges
WHERE celers_task_edges.parent_id IN (:ids, …);

-- CANDIDATES
SELECT celers_tasks.id, celers_tasks.queue_name, (SELECT celers_task_edges.parent_id
    FROM celers_task_edges INNER
    JOIN celers_workflow_steps AS parent_step ON parent_step.workflow_id = celers_task_edges.workflow_id
      AND parent_step.task_id = celers_task_edges.parent_id
    WHERE celers_task_edges.child_id = celers_tasks.id
      AND parent_step.state IS NULL
    ORDER BY celers_task_edges.parent_id DESC
    LIMIT :param_1) AS live_parent
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'blocked'
ORDER BY celers_tasks.id FOR UPDATE;

-- PARENTS
SELECT celers_task_edges.child_id, celers_task_edges.parent_id, celers_task_edges.workflow_id,
    celers_task_edges.policy, celers_task_edges.path, parent_step.task_id AS step_id, parent_step.name,
    parent_step.state, parent_step.error_message, parent_step.ended_by,
    coalesce(length(celers_task_results.result), :coalesce_1) AS size
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
WHERE celers_workflow_steps.workflow_id = :workflow
  AND celers_workflow_steps.task_id IN (:ids, …);

-- RESULTS
SELECT celers_task_results.task_id, celers_task_results.result
FROM celers_task_results
WHERE celers_task_results.task_id IN (:ids, …);

-- UNBLOCK
UPDATE celers_tasks
SET state='pending',
    scheduled_at=CASE WHEN (celers_tasks.scheduled_at > UTC_TIMESTAMP(6)) THEN celers_tasks.scheduled_at ELSE UTC_TIMESTAMP(6) END
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'blocked';

-- UNBLOCK_CHANGED
UPDATE celers_tasks
SET payload=coalesce(:full, celers_tasks.payload), state='pending',
    scheduled_at=coalesce(TIMESTAMPADD(MICROSECOND, ROUND(:wait * 1000000), UTC_TIMESTAMP(6)),
    CASE WHEN (celers_tasks.scheduled_at > UTC_TIMESTAMP(6)) THEN celers_tasks.scheduled_at ELSE UTC_TIMESTAMP(6) END)
WHERE celers_tasks.id = :task_id
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
    LIMIT :param_1) AS step
FROM celers_workflows
WHERE celers_workflows.id IN (:ids, …)
  AND celers_workflows.state = :state_1;

-- LAST_STATES
SELECT DISTINCT celers_workflow_steps.state
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1))
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.parent_id = celers_workflow_steps.task_id
          AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
          AND celers_task_edges.policy != :policy_2));

-- FIRST_FAILURE
SELECT celers_workflow_steps.task_id, celers_workflow_steps.name, celers_workflow_steps.state,
    celers_workflow_steps.error_message
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1))
  AND celers_workflow_steps.state != :state_1
  AND celers_workflow_steps.ended_by IS NULL
ORDER BY CASE WHEN (NOT (EXISTS (SELECT *
            FROM celers_task_edges
            WHERE celers_task_edges.parent_id = celers_workflow_steps.task_id
              AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
              AND celers_task_edges.policy != :policy_2)) OR (EXISTS (SELECT *
            FROM celers_workflow_steps AS step
            WHERE step.ended_by = celers_workflow_steps.task_id
              AND step.workflow_id = celers_workflow_steps.workflow_id))) THEN :param_1 ELSE :param_2 END,
                celers_workflow_steps.ended_at, celers_workflow_steps.position
LIMIT :param_3;

-- END_WORKFLOW
UPDATE celers_workflows
SET state=:now_is, completed_at=UTC_TIMESTAMP(6), error_message=:message
WHERE celers_workflows.id = :workflow
  AND celers_workflows.state = :state_1;

-- LIVE_MEMBERS
SELECT celers_tasks.id, celers_tasks.state
FROM celers_tasks
WHERE celers_tasks.id IN (SELECT step.task_id
    FROM celers_workflow_steps AS step
    WHERE step.workflow_id = :workflow
      AND step.state IS NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_task_edges
            WHERE celers_task_edges.child_id = step.task_id
              AND celers_task_edges.parent_id = step.workflow_id)))
  AND celers_tasks.workflow_id = :workflow
  AND celers_tasks.cancel_requested_at IS NULL
ORDER BY celers_tasks.id FOR UPDATE;

-- STOP_WORKFLOW
UPDATE celers_workflows
SET stopping_at=UTC_TIMESTAMP(6), cancel_reason=:reason, error_message=:message
WHERE celers_workflows.id = :workflow;

-- ASK_TO_STOP
UPDATE celers_tasks
SET cancel_requested_at=UTC_TIMESTAMP(6), cancel_reason=:reason
WHERE celers_tasks.id IN (:ids, …)
  AND celers_tasks.state = 'processing';

-- ENDED_BY
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.ended_by IN (:ids, …)
  AND celers_workflow_steps.state = :state_1;

-- SPARED
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps INNER
JOIN celers_task_edges ON celers_task_edges.child_id = celers_workflow_steps.task_id
  AND celers_task_edges.workflow_id = celers_workflow_steps.workflow_id
WHERE celers_task_edges.parent_id IN (:ids, …)
  AND celers_task_edges.policy = :policy_1
  AND celers_workflow_steps.state = :state_1;

-- UNENDED
SELECT celers_workflow_steps.task_id
FROM celers_workflow_steps
WHERE celers_workflow_steps.workflow_id = :workflow
  AND celers_workflow_steps.task_id != celers_workflow_steps.workflow_id
  AND NOT (EXISTS (SELECT *
        FROM celers_task_edges
        WHERE celers_task_edges.child_id = celers_workflow_steps.task_id
          AND celers_task_edges.policy = :policy_1))
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
SET state=:state, completed_at=NULL, expires_at=TIMESTAMPADD(MICROSECOND,
    ROUND(celers_workflows.timeout * 1000000), UTC_TIMESTAMP(6)), stopping_at=NULL, cancel_reason=NULL,
    error_message=NULL, checked_at=UTC_TIMESTAMP(6)
WHERE celers_workflows.id IN (:ids, …);

-- OVERDUE
SELECT celers_workflows.id
FROM celers_workflows
WHERE celers_workflows.state = :state_1
  AND celers_workflows.expires_at <= UTC_TIMESTAMP(6)
  AND celers_workflows.stopping_at IS NULL
LIMIT :room FOR UPDATE SKIP LOCKED;

-- UNCHECKED
SELECT celers_workflows.id, celers_workflows.created_at < TIMESTAMPADD(MICROSECOND, ROUND(:grace * 1000000),
    UTC_TIMESTAMP(6)) AS is_old
FROM celers_workflows
WHERE celers_workflows.state = :state_1
  AND celers_workflows.checked_at <= TIMESTAMPADD(MICROSECOND, ROUND(:before * 1000000), UTC_TIMESTAMP(6))
ORDER BY celers_workflows.checked_at
LIMIT :room FOR UPDATE SKIP LOCKED;

-- CHECKED
UPDATE celers_workflows
SET checked_at=UTC_TIMESTAMP(6)
WHERE celers_workflows.id IN (:ids, …);

-- NOT_MOVING
SELECT celers_workflow_steps.task_id, celers_tasks.state
FROM celers_workflow_steps
LEFT OUTER JOIN celers_tasks ON celers_tasks.id = celers_workflow_steps.task_id
WHERE celers_workflow_steps.workflow_id = :workflow
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
VALUES (:workflow, :called, UTC_TIMESTAMP(6), UTC_TIMESTAMP(6))
ON DUPLICATE KEY UPDATE celers_workflows.id = celers_workflows.id;

-- ADOPT_STEP
INSERT INTO celers_workflow_steps (workflow_id, task_id, position, name, delay)
VALUES (:workflow, :of_task, :place, :called, :wait)
ON DUPLICATE KEY UPDATE celers_workflow_steps.workflow_id = celers_workflow_steps.workflow_id;

-- ADOPT_EDGE
INSERT INTO celers_task_edges (child_id, parent_id, workflow_id, position, policy)
VALUES (:child, :parent, :workflow, :place, :tolerance)
ON DUPLICATE KEY UPDATE celers_task_edges.child_id = celers_task_edges.child_id;

-- PLACE_STEP
UPDATE celers_workflow_steps
SET position=:place, delay=:wait
WHERE celers_workflow_steps.workflow_id = :workflow
  AND celers_workflow_steps.task_id = :of_task;

-- NAME_STEP
UPDATE celers_workflow_steps
SET name=:called
WHERE celers_workflow_steps.task_id = :of_task;

-- JOIN_WORKFLOW
UPDATE celers_tasks
SET state=:now_is, workflow_id=:workflow
WHERE celers_tasks.id IN (:ids, …);

-- MARK
UPDATE celers_tasks
SET workflow_id=:workflow
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
