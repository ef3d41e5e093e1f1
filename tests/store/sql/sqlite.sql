-- Written by `make sql` from celers_worker/store: do not edit.

-- INSERT_TASKS
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, 'pending', :new_priority, :new_max_retries,
    strftime('%Y-%m-%d %H:%M:%f000', 'now'), coalesce(:new_at, strftime('%Y-%m-%d %H:%M:%f000', 'now',
    round(:new_delay, 3) || ' seconds')), :new_metadata, :new_queue, :new_timeout,
    strftime('%Y-%m-%d %H:%M:%f000', 'now', round(:new_expires, 3) || ' seconds'), :new_unique_key,
    :new_fingerprint);

-- INSERT_TASKS_UNLESS_KNOWN
INSERT INTO celers_tasks (id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
    metadata, queue_name, timeout, expires_at, unique_key, fingerprint)
VALUES (:new_id, :new_name, :new_payload, 'pending', :new_priority, :new_max_retries,
    strftime('%Y-%m-%d %H:%M:%f000', 'now'), coalesce(:new_at, strftime('%Y-%m-%d %H:%M:%f000', 'now',
    round(:new_delay, 3) || ' seconds')), :new_metadata, :new_queue, :new_timeout,
    strftime('%Y-%m-%d %H:%M:%f000', 'now', round(:new_expires, 3) || ' seconds'), :new_unique_key,
    :new_fingerprint)
ON CONFLICT DO NOTHING;

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
ON CONFLICT DO NOTHING;

-- NOW
SELECT strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1;

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
SELECT celers_tasks.id, celers_tasks.lease + :lease_1 AS lease, celers_tasks.task_name,
    celers_tasks.queue_name, celers_tasks.payload, celers_tasks.priority, celers_tasks.retry_count,
    celers_tasks.crash_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    strftime('%Y-%m-%d %H:%M:%f000', 'now') AS started_at, celers_tasks.timeout,
    coalesce(celers_tasks.expires_at <= strftime('%Y-%m-%d %H:%M:%f000', 'now'), :param_1) AS expired,
    celers_tasks.metadata
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority = :at_priority
  AND celers_tasks.scheduled_at >= :mark
  AND celers_tasks.scheduled_at <= strftime('%Y-%m-%d %H:%M:%f000', 'now')
  AND (celers_tasks.task_name NOT IN (:excluded, …))
  AND NOT (EXISTS (SELECT *
        FROM celers_queues
        WHERE celers_queues.name = :queue
          AND celers_queues.paused_at IS NOT NULL))
ORDER BY celers_tasks.scheduled_at, celers_tasks.id
LIMIT :room OFFSET :param_2;

-- LEASE
UPDATE celers_tasks
SET state='processing', started_at=strftime('%Y-%m-%d %H:%M:%f000', 'now'), worker_id=:worker,
    lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id IN (:ids, …);

-- HELD
SELECT celers_tasks.id, celers_tasks.lease, celers_tasks.cancel_requested_at, celers_tasks.cancel_reason
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …)
ORDER BY celers_tasks.id;

-- ARCHIVE[completed]
INSERT INTO celers_task_archive (id, task_name, payload, state, priority, retry_count, max_retries,
    created_at, scheduled_at, started_at, completed_at, worker_id, error_message, metadata, queue_name, lease,
    crash_count, timeout, expires_at, unique_key, fingerprint, group_id, chord_id, workflow_id, waits_for,
    cancel_requested_at, cancel_reason)
SELECT celers_tasks.id, celers_tasks.task_name, celers_tasks.payload, 'completed', celers_tasks.priority,
    celers_tasks.retry_count, celers_tasks.max_retries, celers_tasks.created_at, celers_tasks.scheduled_at,
    celers_tasks.started_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1, celers_tasks.worker_id,
    coalesce(:message, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
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
    celers_tasks.started_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1, celers_tasks.worker_id,
    coalesce(:message, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
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
    celers_tasks.started_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1, celers_tasks.worker_id,
    coalesce(:message, celers_tasks.error_message) AS coalesce_1, celers_tasks.metadata,
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
    celers_tasks.retry_count + :failed AS anon_1, celers_tasks.max_retries, celers_tasks.created_at,
    celers_tasks.scheduled_at, celers_tasks.started_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1,
    celers_tasks.worker_id, :message AS anon_2, celers_tasks.metadata, celers_tasks.queue_name,
    celers_tasks.lease, celers_tasks.crash_count + :crashed AS anon_3, celers_tasks.timeout,
    celers_tasks.expires_at, celers_tasks.unique_key, celers_tasks.fingerprint, celers_tasks.group_id,
    celers_tasks.chord_id, celers_tasks.workflow_id, celers_tasks.waits_for, celers_tasks.cancel_requested_at,
    celers_tasks.cancel_reason, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_2, :why AS anon_4
FROM celers_tasks
WHERE celers_tasks.id IN (:ids, …);

-- INSERT_RESULT
INSERT INTO celers_task_results (task_id, result, created_at)
VALUES (:of_task, :value, strftime('%Y-%m-%d %H:%M:%f000', 'now'));

-- INSERT_ATTEMPT
INSERT INTO celers_task_attempts (task_id, lease, attempt, worker_id, started_at, failed_at, error_type,
    error_message, traceback)
VALUES (:of_task, :with_lease, :number, :worker, :since, strftime('%Y-%m-%d %H:%M:%f000', 'now'), :kind,
    :message, :trace)
ON CONFLICT DO NOTHING;

-- RETRY
UPDATE celers_tasks
SET state='pending', retry_count=(celers_tasks.retry_count + :retry_count_1),
    scheduled_at=strftime('%Y-%m-%d %H:%M:%f000', 'now', round(:wait, 3) || ' seconds'), started_at=NULL,
    worker_id=NULL, error_message=:message, lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id = :task_id;

-- RELEASE
UPDATE celers_tasks
SET state='pending', scheduled_at=coalesce(strftime('%Y-%m-%d %H:%M:%f000', 'now', round(:wait,
    3) || ' seconds'), celers_tasks.scheduled_at), started_at=NULL, worker_id=NULL,
    error_message=coalesce(:message, celers_tasks.error_message), lease=(celers_tasks.lease + :lease_1)
WHERE celers_tasks.id = :task_id;

-- RELEASE_CRASHED
UPDATE celers_tasks
SET state='pending', started_at=NULL, worker_id=NULL, error_message=:message,
    lease=(celers_tasks.lease + :lease_1), crash_count=(celers_tasks.crash_count + :crash_count_1)
WHERE celers_tasks.id = :task_id;

-- sweep of two queues
WITH RECURSIVE "each" AS (SELECT CAST(:queue_0 AS VARCHAR(128)) AS queue_name
    UNION ALL
    SELECT CAST(:queue_1 AS VARCHAR(128)) AS queue_name), level(queue_name,
        priority) AS (SELECT "each".queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = "each".queue_name
        ORDER BY t.priority DESC
        LIMIT :param_3 OFFSET :param_4) AS priority
    FROM "each"
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_5 OFFSET :param_6) AS anon_1
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, min((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1 OFFSET :param_2), strftime('%Y-%m-%d %H:%M:%f000', 'now', round(3155760000,
            3) || ' seconds')) AS first_due_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now
FROM level
WHERE level.priority IS NOT NULL;

-- sweep of every queue
WITH RECURSIVE "each"(queue_name) AS (SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
        ORDER BY every.queue_name
        LIMIT :param_5 OFFSET :param_6) AS queue_name
    UNION ALL
    SELECT (SELECT every.queue_name
        FROM celers_tasks AS every
        WHERE every.state = 'pending'
          AND every.queue_name > "each".queue_name
        ORDER BY every.queue_name
        LIMIT :param_7 OFFSET :param_8) AS anon_1
    FROM "each"
    WHERE "each".queue_name IS NOT NULL), level(queue_name,
        priority) AS (SELECT "each".queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = "each".queue_name
        ORDER BY t.priority DESC
        LIMIT :param_3 OFFSET :param_4) AS priority
    FROM "each"
    UNION ALL
    SELECT level.queue_name AS queue_name, (SELECT t.priority
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority < level.priority
        ORDER BY t.priority DESC
        LIMIT :param_9 OFFSET :param_10) AS anon_2
    FROM level
    WHERE level.priority IS NOT NULL)
SELECT level.queue_name, level.priority, min((SELECT t.scheduled_at
        FROM celers_tasks AS t
        WHERE t.state = 'pending'
          AND t.queue_name = level.queue_name
          AND t.priority = level.priority
        ORDER BY t.scheduled_at
        LIMIT :param_1 OFFSET :param_2), strftime('%Y-%m-%d %H:%M:%f000', 'now', round(3155760000,
            3) || ' seconds')) AS first_due_at, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now
FROM level
WHERE level.priority IS NOT NULL;

-- FIRST_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
ORDER BY celers_tasks.queue_name
LIMIT :param_1 OFFSET :param_2;

-- NEXT_QUEUE
SELECT celers_tasks.queue_name
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name > :queue
ORDER BY celers_tasks.queue_name
LIMIT :param_1 OFFSET :param_2;

-- TOP_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
ORDER BY celers_tasks.priority DESC
LIMIT :param_1 OFFSET :param_2;

-- NEXT_LEVEL
SELECT celers_tasks.priority
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority < :at_priority
ORDER BY celers_tasks.priority DESC
LIMIT :param_1 OFFSET :param_2;

-- FIRST_OF_LEVEL
SELECT min(celers_tasks.scheduled_at, strftime('%Y-%m-%d %H:%M:%f000', 'now', round(3155760000,
    3) || ' seconds')) AS earlier_1, strftime('%Y-%m-%d %H:%M:%f000', 'now') AS now_1
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue
  AND celers_tasks.priority = :at_priority
ORDER BY celers_tasks.scheduled_at
LIMIT :param_1 OFFSET :param_2;

-- UNADOPTED_TASKS
SELECT celers_tasks.id, celers_tasks.metadata
FROM celers_tasks
WHERE celers_tasks.state = 'pending'
  AND celers_tasks.queue_name = :queue_name_1
LIMIT :param_1 OFFSET :param_2;

-- ADOPT
UPDATE celers_tasks
SET queue_name=:to_queue, timeout=:to_timeout, group_id=:to_group, chord_id=:to_chord
WHERE celers_tasks.id = :task_id;

-- REGISTER_WORKER
INSERT INTO celers_workers (id, name, host, pid, version, queues, handlers, concurrency, started_at,
    heartbeat_at, expires_at)
VALUES (:worker, :label, :on_host, :process, :of_version, :serves, :knows, :permits,
    strftime('%Y-%m-%d %H:%M:%f000', 'now'), strftime('%Y-%m-%d %H:%M:%f000', 'now'),
    strftime('%Y-%m-%d %H:%M:%f000', 'now', round(:lease_seconds, 3) || ' seconds'));

-- RENEW_WORKER
UPDATE celers_workers
SET running=coalesce(:runs, celers_workers.running), state=coalesce(:in_state, celers_workers.state),
    heartbeat_at=strftime('%Y-%m-%d %H:%M:%f000', 'now'), expires_at=strftime('%Y-%m-%d %H:%M:%f000', 'now',
    round(:lease_seconds, 3) || ' seconds')
WHERE celers_workers.id = :worker
  AND celers_workers.expires_at > strftime('%Y-%m-%d %H:%M:%f000', 'now');

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
  AND celers_tasks.worker_id = :worker;

-- LOST_WORKERS
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= strftime('%Y-%m-%d %H:%M:%f000', 'now')
  AND celers_workers.state != :state_1;

-- LOST_WORKERS_LET_GO
SELECT celers_workers.id
FROM celers_workers
WHERE celers_workers.expires_at <= strftime('%Y-%m-%d %H:%M:%f000', 'now')
  AND celers_workers.state != :state_1
  AND celers_workers.id IN (:lost, …);

-- MARK_LOST
UPDATE celers_workers
SET running=:running, state=:state
WHERE celers_workers.id = :worker
  AND celers_workers.expires_at <= strftime('%Y-%m-%d %H:%M:%f000', 'now');

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
          AND celers_workers.expires_at > strftime('%Y-%m-%d %H:%M:%f000', 'now')))
LIMIT :room OFFSET :param_1;

-- COUNT_ORPHANS
SELECT count(*) AS count_1
FROM celers_tasks
WHERE celers_tasks.state = 'processing'
  AND (celers_tasks.worker_id IS NOT NULL
      AND NOT (EXISTS (SELECT *
            FROM celers_workers
            WHERE celers_workers.id = celers_tasks.worker_id
              AND celers_workers.expires_at > strftime('%Y-%m-%d %H:%M:%f000',
                'now'))) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at, celers_tasks.created_at) < strftime('%Y-%m-%d %H:%M:%f000', 'now',
        round(:stuck, 3) || ' seconds'));

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
              AND celers_workers.expires_at > strftime('%Y-%m-%d %H:%M:%f000',
                'now'))) OR celers_tasks.worker_id IS NULL
      AND coalesce(celers_tasks.started_at, celers_tasks.created_at) < strftime('%Y-%m-%d %H:%M:%f000', 'now',
        round(:stuck, 3) || ' seconds'))
LIMIT :room OFFSET :param_1;
