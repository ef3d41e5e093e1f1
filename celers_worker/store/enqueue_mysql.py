"""``celers_enqueue`` of MySQL and MariaDB: a procedure; ``store.unique`` explains its keys.

With autocommit each of its statements commits by itself, so each leaves something whole behind:
the task goes in first, in the one statement that also looks at the window, and takes its own
window then. A caller who dies in between has a task without a window, never a window without a
task. In a transaction all of it is one.
"""

from __future__ import annotations

from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, MAX_RETRIES_LIMIT
from celers_worker.core.uniqueness import SUPERSEDED
from celers_worker.store.enqueue_postgresql import NAME, QUEUE, ROUNDS, TASK

_OPTIONS = (
    "queue",
    "priority",
    "delay",
    "at",
    "max_retries",
    "timeout",
    "expires",
    "unique_key",
    "fingerprint",
    "metadata",
    "tags",
    "unique_for",
    "on_conflict",
    "debounce",
    "debounce_max",
)


def _option(name: str) -> str:
    """The option as text; NULL if it is absent, or null."""
    found = f"JSON_EXTRACT(the_options, '$.{name}')"
    return f"IF(JSON_TYPE({found}) = 'NULL', NULL, JSON_UNQUOTE({found}))"


def _after(seconds: str) -> str:
    """So many seconds from now; NULL for NULL."""
    return f"TIMESTAMPADD(MICROSECOND, ROUND({seconds} * 1000000), UTC_TIMESTAMP(6))"


_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_ID = "CHAR(36) CHARACTER SET ascii DEFAULT NULL"
_WHOLE = "^-?[0-9]{1,10}$"
_NUMBER = "^[0-9]{1,10}([.][0-9]+)?$"
_PAYLOAD = "CAST(the_arguments AS CHAR CHARACTER SET utf8mb4)"
_DUE = f"COALESCE(the_instant, {_after('the_delay')})"
_HOLDER = """\
SELECT held.task_id INTO the_holder FROM celers_unique_windows AS held
            WHERE held.unique_key = the_key AND held.expires_at > UTC_TIMESTAMP(6) FOR UPDATE"""
#: What is left of the longest time since the first enqueue.
_LEFT = (
    "GREATEST(0, COALESCE(the_longest, 9999999999)"
    " - TIMESTAMPDIFF(MICROSECOND, created_at, UTC_TIMESTAMP(6)) / 1000000)"
)

MYSQL = f"""\
CREATE PROCEDURE {NAME}(
    IN the_name VARCHAR(1000) {_TEXT}, IN the_arguments JSON, IN the_options JSON
) MODIFIES SQL DATA SQL SECURITY INVOKER
BEGIN
    DECLARE the_queue VARCHAR(1000) {_TEXT} DEFAULT
        COALESCE({_option("queue")}, '{DEFAULT_QUEUE}');
    DECLARE the_priority VARCHAR(1000) {_TEXT} DEFAULT COALESCE({_option("priority")}, '0');
    DECLARE the_retries VARCHAR(1000) {_TEXT} DEFAULT
        COALESCE({_option("max_retries")}, '{DEFAULT_MAX_RETRIES}');
    DECLARE the_delay VARCHAR(1000) {_TEXT} DEFAULT COALESCE({_option("delay")}, '0');
    DECLARE the_instant DATETIME(6) DEFAULT {_option("at")};
    DECLARE the_timeout VARCHAR(1000) {_TEXT} DEFAULT {_option("timeout")};
    DECLARE the_lifetime VARCHAR(1000) {_TEXT} DEFAULT {_option("expires")};
    DECLARE the_key VARCHAR(255) {_TEXT} DEFAULT {_option("unique_key")};
    DECLARE the_fingerprint VARCHAR(255) {_TEXT} DEFAULT {_option("fingerprint")};
    DECLARE the_window VARCHAR(1000) {_TEXT} DEFAULT {_option("unique_for")};
    DECLARE the_answer VARCHAR(1000) {_TEXT} DEFAULT COALESCE({_option("on_conflict")}, 'return');
    DECLARE the_pause VARCHAR(1000) {_TEXT} DEFAULT {_option("debounce")};
    DECLARE the_longest VARCHAR(1000) {_TEXT} DEFAULT {_option("debounce_max")};
    DECLARE the_metadata JSON DEFAULT
        IF(JSON_TYPE(JSON_EXTRACT(the_options, '$.metadata')) = 'NULL', NULL,
            JSON_EXTRACT(the_options, '$.metadata'));
    DECLARE the_noise CHAR(32) DEFAULT MD5(CONCAT(UUID(), RAND(), CONNECTION_ID()));
    DECLARE the_stamp CHAR(12) DEFAULT
        LPAD(LOWER(HEX(FLOOR(UNIX_TIMESTAMP(NOW(3)) * 1000))), 12, '0');
    DECLARE the_id CHAR(36) CHARACTER SET ascii DEFAULT CONCAT(
        SUBSTR(the_stamp, 1, 8), '-', SUBSTR(the_stamp, 9, 4), '-7', SUBSTR(the_noise, 1, 3),
        '-8', SUBSTR(the_noise, 4, 3), '-', SUBSTR(the_noise, 7, 12)
    );
    DECLARE it_replaces BOOLEAN DEFAULT the_answer = 'replace' OR the_pause IS NOT NULL;
    DECLARE the_owner {_ID};
    DECLARE the_holder {_ID};
    DECLARE the_state VARCHAR(20) {_TEXT} DEFAULT NULL;
    DECLARE the_rounds INT DEFAULT 0;
    DECLARE the_problem VARCHAR(128) {_TEXT} DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
    SET the_arguments = COALESCE(the_arguments, '{{}}');
    SET the_problem = CASE
        WHEN the_name IS NULL OR NOT the_name REGEXP '{TASK}'
            OR LOCATE(CHAR(10), the_name)  -- which $ lets stand at the end
            THEN 'this cannot name a task, use ASCII letters, digits, _, -, . and colons'
        WHEN NOT the_queue REGEXP '{QUEUE}' OR LOCATE(CHAR(10), the_queue)
            THEN 'this cannot name a queue, use ASCII letters, digits, _, - and .'
        WHEN NOT JSON_VALID(the_arguments)
            OR JSON_TYPE(the_arguments) NOT IN ('OBJECT', 'ARRAY')
            THEN 'arguments must be a JSON object, or an array'
        WHEN OCTET_LENGTH({_PAYLOAD}) > {SIZE_LIMIT}
            THEN 'the arguments take more than {SIZE_LIMIT} bytes'
        WHEN the_options IS NOT NULL
            AND (NOT JSON_VALID(the_options) OR JSON_TYPE(the_options) <> 'OBJECT')
            THEN 'options must be a JSON object, or NULL'
        WHEN JSON_LENGTH(JSON_REMOVE(the_options, '$.{"', '$.".join(_OPTIONS)}')) > 0
            THEN 'an option is unknown, see docs/enqueue.md'
        WHEN NOT the_priority REGEXP '{_WHOLE}' OR NOT the_retries REGEXP '{_WHOLE}'
            OR CAST(the_retries AS SIGNED) NOT BETWEEN 0 AND {MAX_RETRIES_LIMIT}
            THEN 'priority and max_retries must be whole numbers, retries up to {MAX_RETRIES_LIMIT}'
        WHEN NOT the_delay REGEXP '{_NUMBER}' OR NOT COALESCE(the_timeout, '1') REGEXP '{_NUMBER}'
            OR NOT COALESCE(the_lifetime, '1') REGEXP '{_NUMBER}'
            THEN 'delay, timeout and expires must be seconds, not negative'
        WHEN the_metadata IS NOT NULL AND JSON_TYPE(the_metadata) <> 'OBJECT'
            THEN 'metadata must be a JSON object'
        WHEN JSON_TYPE(JSON_EXTRACT(the_options, '$.tags')) NOT IN ('ARRAY', 'NULL')
            THEN 'tags must be a JSON array of texts'
        WHEN the_answer NOT IN ('return', 'replace', 'raise')
            THEN 'on_conflict must be return, replace or raise'
        WHEN the_key IS NULL
            AND (it_replaces OR the_answer = 'raise' OR the_window IS NOT NULL)
            THEN 'unique_for, on_conflict and debounce need a unique_key'
        WHEN (the_longest IS NOT NULL AND the_pause IS NULL) OR (the_pause IS NOT NULL
            AND (the_delay + 0 <> 0 OR the_instant IS NOT NULL OR the_window IS NOT NULL
                OR the_answer = 'raise'))
            THEN 'debounce does not go with delay, at, unique_for or raise'
        WHEN NOT COALESCE(the_window, '1') REGEXP '{_NUMBER}' OR the_window + 0 = 0
            OR NOT COALESCE(the_pause, '1') REGEXP '{_NUMBER}' OR the_pause + 0 = 0
            OR NOT COALESCE(the_longest, '1') REGEXP '{_NUMBER}'
            OR the_longest + 0 < the_pause + 0
            THEN 'unique_for, debounce or debounce_max is too short'
        END;
    IF the_problem IS NOT NULL THEN
        SET the_problem = CONCAT('{NAME}, ', the_problem);
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_problem;
    END IF;
    IF JSON_TYPE(JSON_EXTRACT(the_options, '$.tags')) = 'ARRAY' THEN
        SET the_metadata = JSON_SET(
            COALESCE(the_metadata, JSON_OBJECT()), '$.tags', JSON_EXTRACT(the_options, '$.tags')
        );
    END IF;
    SET the_delay = COALESCE(the_pause, the_delay);
    adding: LOOP
        SET the_rounds = the_rounds + 1;
        IF the_rounds > {ROUNDS} THEN
            SIGNAL SQLSTATE '45000'
                SET MESSAGE_TEXT = '{NAME}, the unique key changed hands {ROUNDS} times';
        END IF;
        SET the_owner = NULL, the_holder = NULL, the_state = NULL;
        INSERT INTO celers_tasks (
            id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
            metadata, queue_name, timeout, expires_at, unique_key, fingerprint
        ) SELECT
            the_id, the_name, {_PAYLOAD}, 'pending',
            CAST(the_priority AS SIGNED), CAST(the_retries AS SIGNED), UTC_TIMESTAMP(6),
            {_DUE}, the_metadata, the_queue, the_timeout, {_after("the_lifetime")},
            the_key, the_fingerprint
        FROM DUAL WHERE the_key IS NULL OR NOT EXISTS (
            SELECT 1 FROM celers_unique_windows AS held
            WHERE held.unique_key = the_key AND held.expires_at > UTC_TIMESTAMP(6)
        ) ON DUPLICATE KEY UPDATE celers_tasks.id = celers_tasks.id;
        IF the_key IS NULL THEN
            LEAVE adding;
        END IF;
        SELECT task.id, task.state INTO the_owner, the_state FROM celers_tasks AS task
            WHERE task.unique_key = the_key FOR UPDATE;
        IF the_owner = the_id AND the_window IS NOT NULL THEN
            INSERT INTO celers_unique_windows (unique_key, task_id, expires_at)
            VALUES (the_key, the_id, {_after("the_window")})
            ON DUPLICATE KEY UPDATE
                task_id = IF(expires_at <= UTC_TIMESTAMP(6), VALUES(task_id), task_id),
                expires_at = IF(expires_at <= UTC_TIMESTAMP(6), VALUES(expires_at), expires_at);
        END IF;
        {_HOLDER};
        IF the_owner = the_id AND COALESCE(the_holder, the_id) = the_id THEN
            LEAVE adding;
        ELSEIF the_owner = the_id THEN
            DELETE FROM celers_tasks WHERE celers_tasks.id = the_id
                AND celers_tasks.state = 'pending';
            IF ROW_COUNT() = 0 THEN
                LEAVE adding;  -- it runs already
            END IF;
            SET the_owner = NULL;
        END IF;
        IF the_owner IS NULL THEN
            IF the_holder IS NULL THEN
                ITERATE adding;
            END IF;
            SET the_owner = the_holder, the_state = NULL;
        END IF;
        IF the_answer = 'raise' THEN
            SET the_problem = CONCAT('{NAME}, the unique key is that of task ', the_owner);
            SIGNAL SQLSTATE '23000' SET MYSQL_ERRNO = 1062, MESSAGE_TEXT = the_problem;
        ELSEIF NOT it_replaces OR COALESCE(the_state, '') = 'blocked'
            OR (the_state = 'processing' AND (the_window IS NOT NULL OR the_holder IS NOT NULL))
        THEN
            SET the_id = the_owner;
            LEAVE adding;
        ELSEIF the_state = 'processing' THEN
            UPDATE celers_tasks SET unique_key = NULL,
                cancel_reason = COALESCE(cancel_reason, '{SUPERSEDED}')
            WHERE id = the_owner AND unique_key = the_key AND state = 'processing';
        ELSE
            UPDATE celers_tasks SET
                task_name = the_name, payload = {_PAYLOAD},
                priority = CAST(the_priority AS SIGNED),
                max_retries = CAST(the_retries AS SIGNED), metadata = the_metadata,
                queue_name = the_queue, timeout = the_timeout,
                expires_at = {_after("the_lifetime")}, fingerprint = the_fingerprint,
                retry_count = 0, crash_count = 0, error_message = NULL, lease = lease + 1,
                scheduled_at = IF(
                    the_pause IS NULL, {_DUE}, {_after(f"LEAST(the_pause + 0, {_LEFT})")}
                )
            WHERE id = the_owner AND unique_key = the_key AND state = 'pending';
            IF ROW_COUNT() > 0 OR the_state IS NULL THEN
                SET the_id = the_owner;
                LEAVE adding;
            END IF;
        END IF;
    END LOOP;
    SELECT the_id AS id;
END"""
