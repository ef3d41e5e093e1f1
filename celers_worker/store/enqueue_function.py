"""``celers_enqueue`` in the database: any language that speaks SQL enqueues by one statement.

A function on PostgreSQL, and a procedure on MySQL and MariaDB, where a function would need SUPER
on a server with a binary log. SQLite has no stored code; docs/enqueue.md has an INSERT for it.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from celers_worker.core.errors import Refused
from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, MAX_RETRIES_LIMIT
from celers_worker.store.errors import Fault, fault_of

NAME = "celers_enqueue"

_TASK = "^[A-Za-z_][A-Za-z0-9_.:-]{0,254}$"
_QUEUE = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"

POSTGRESQL = f"""\
CREATE OR REPLACE FUNCTION {NAME}(
    name text,
    arguments jsonb DEFAULT '{{}}',
    queue text DEFAULT '{DEFAULT_QUEUE}',
    priority integer DEFAULT 0,
    delay interval DEFAULT '0',
    at timestamptz DEFAULT NULL,
    max_retries integer DEFAULT {DEFAULT_MAX_RETRIES},
    timeout interval DEFAULT NULL,
    expires interval DEFAULT NULL,
    unique_key text DEFAULT NULL,
    fingerprint text DEFAULT NULL,
    metadata jsonb DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $celers$
DECLARE
    _payload bytea := convert_to(arguments::text, 'UTF8');
    _noise text := md5(concat(random(), random(), pg_backend_pid(), clock_timestamp()));
    _now timestamptz := statement_timestamp();
    _id uuid;
    _other uuid;
BEGIN
    IF {NAME}.name !~ '{_TASK.replace(":", chr(92) + ":")}' THEN
        RAISE EXCEPTION 'celers_enqueue: % cannot name a task', quote_nullable({NAME}.name)
        USING HINT = 'Use 1 to 255 ASCII letters, digits, _, -, . and colons.';
    ELSIF {NAME}.queue !~ '{_QUEUE}' THEN
        RAISE EXCEPTION 'celers_enqueue: % cannot name a queue', quote_nullable({NAME}.queue)
        USING HINT = 'Use 1 to 128 ASCII letters, digits, _, - and .';
    ELSIF jsonb_typeof(arguments) NOT IN ('object', 'array') THEN
        RAISE EXCEPTION 'celers_enqueue: arguments must be a JSON object, or an array';
    ELSIF octet_length(_payload) > {SIZE_LIMIT} THEN
        RAISE EXCEPTION 'celers_enqueue: the arguments take more than {SIZE_LIMIT} bytes';
    ELSIF {NAME}.max_retries NOT BETWEEN 0 AND {MAX_RETRIES_LIMIT} THEN
        RAISE EXCEPTION 'celers_enqueue: max_retries must lie between 0 and {MAX_RETRIES_LIMIT}';
    ELSIF delay < '0' OR expires < '0' OR {NAME}.timeout <= '0' THEN
        RAISE EXCEPTION 'celers_enqueue: delay, expires and timeout must not be negative';
    ELSIF jsonb_typeof({NAME}.metadata) <> 'object' THEN
        RAISE EXCEPTION 'celers_enqueue: metadata must be a JSON object';
    END IF;
    _id := concat(
        lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0'),
        '7', substr(_noise, 1, 3), '8', substr(_noise, 4, 15)
    )::uuid;
    LOOP
        INSERT INTO celers_tasks (
            id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
            metadata, queue_name, timeout, expires_at, unique_key, fingerprint
        ) VALUES (
            _id, {NAME}.name, _payload, 'pending', {NAME}.priority, {NAME}.max_retries, _now,
            coalesce(at, _now + delay), {NAME}.metadata, {NAME}.queue,
            extract(epoch FROM {NAME}.timeout), _now + expires, {NAME}.unique_key,
            {NAME}.fingerprint
        ) ON CONFLICT DO NOTHING;
        IF FOUND THEN
            EXIT WHEN {NAME}.unique_key IS NULL;
            SELECT w.task_id INTO _other FROM celers_unique_windows w
            WHERE w.unique_key = {NAME}.unique_key AND w.expires_at > _now;
            EXIT WHEN NOT FOUND;
            DELETE FROM celers_tasks t WHERE t.id = _id;
            RETURN _other;
        END IF;
        SELECT t.id INTO _other FROM celers_tasks t WHERE t.unique_key = {NAME}.unique_key;
        IF FOUND THEN
            RETURN _other;
        END IF;
    END LOOP;
    IF at IS NULL AND delay = '0'
        AND pg_try_advisory_xact_lock({0x63656C65}, hashtext({NAME}.queue))
    THEN
        PERFORM pg_notify('celers_tasks', {NAME}.queue);
    END IF;
    RETURN _id;
END
$celers$"""

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
)


def _option(name: str) -> str:
    """The option as text; NULL if it is absent, or null."""
    found = f"JSON_EXTRACT(the_options, '$.{name}')"
    return f"IF(JSON_TYPE({found}) = 'NULL', NULL, JSON_UNQUOTE({found}))"


_TEXT = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
_WHOLE = "^-?[0-9]{1,10}$"
_NUMBER = "^[0-9]{1,10}([.][0-9]+)?$"

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
    DECLARE the_owner CHAR(36) CHARACTER SET ascii DEFAULT NULL;
    DECLARE the_holder CHAR(36) CHARACTER SET ascii DEFAULT NULL;
    DECLARE the_problem VARCHAR(128) {_TEXT} DEFAULT NULL;
    DECLARE CONTINUE HANDLER FOR NOT FOUND BEGIN END;
    SET the_arguments = COALESCE(the_arguments, '{{}}');
    SET the_problem = CASE
        WHEN the_name IS NULL OR NOT the_name REGEXP '{_TASK.replace(":", chr(92) + ":")}'
            OR LOCATE(CHAR(10), the_name)  -- which $ lets stand at the end
            THEN 'this cannot name a task, use ASCII letters, digits, _, -, . and colons'
        WHEN NOT the_queue REGEXP '{_QUEUE}' OR LOCATE(CHAR(10), the_queue)
            THEN 'this cannot name a queue, use ASCII letters, digits, _, - and .'
        WHEN NOT JSON_VALID(the_arguments)
            OR JSON_TYPE(the_arguments) NOT IN ('OBJECT', 'ARRAY')
            THEN 'arguments must be a JSON object, or an array'
        WHEN OCTET_LENGTH(CAST(the_arguments AS CHAR CHARACTER SET utf8mb4)) > {SIZE_LIMIT}
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
        END;
    IF the_problem IS NOT NULL THEN
        SET the_problem = CONCAT('{NAME}, ', the_problem);
        SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = the_problem;
    END IF;
    adding: LOOP
        INSERT INTO celers_tasks (
            id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
            metadata, queue_name, timeout, expires_at, unique_key, fingerprint
        ) VALUES (
            the_id, the_name, CAST(the_arguments AS CHAR CHARACTER SET utf8mb4), 'pending',
            CAST(the_priority AS SIGNED), CAST(the_retries AS SIGNED), UTC_TIMESTAMP(6),
            COALESCE(the_instant, TIMESTAMPADD(
                MICROSECOND, ROUND(the_delay * 1000000), UTC_TIMESTAMP(6)
            )),
            the_metadata, the_queue, the_timeout,
            TIMESTAMPADD(MICROSECOND, ROUND(the_lifetime * 1000000), UTC_TIMESTAMP(6)),
            the_key, the_fingerprint
        ) ON DUPLICATE KEY UPDATE celers_tasks.unique_key = celers_tasks.unique_key;
        IF the_key IS NULL THEN
            LEAVE adding;
        END IF;
        SELECT task.id INTO the_owner FROM celers_tasks AS task
            WHERE task.unique_key = the_key FOR UPDATE;
        IF the_owner IS NULL THEN
            ITERATE adding;
        END IF;
        IF the_owner = the_id THEN
            SELECT held.task_id INTO the_holder FROM celers_unique_windows AS held
                WHERE held.unique_key = the_key AND held.expires_at > UTC_TIMESTAMP(6)
                FOR UPDATE;
            IF the_holder IS NOT NULL THEN
                DELETE FROM celers_tasks WHERE celers_tasks.id = the_id;
                SET the_owner = the_holder;
            END IF;
        END IF;
        SET the_id = the_owner;
        LEAVE adding;
    END LOOP;
    SELECT the_id AS id;
END"""

CREATE = {"postgresql": [POSTGRESQL], "mysql": [f"DROP PROCEDURE IF EXISTS {NAME}", MYSQL]}
DROP = {
    "postgresql": f"DROP FUNCTION IF EXISTS {NAME}",
    "mysql": f"DROP PROCEDURE IF EXISTS {NAME}",
}


def make(connection: Connection) -> None:
    """Make it, or make it again. Raises Refused, saying which right is missing and how to get it.

    Where there is no stored code, nothing happens.
    """
    try:
        for statement in CREATE.get(_backend(connection.dialect), ()):
            connection.execute(text(statement))
    except DBAPIError as error:
        if fault_of(error) not in (Fault.REFUSED, Fault.FORBIDDEN):
            raise
        raise Refused(
            f"{NAME}, which lets other languages enqueue by SQL, was not made: "
            f"{error.orig.args[-1] if error.orig else error}. GRANT CREATE ROUTINE, ALTER ROUTINE "
            "on this database to the user of database.url, then run: celers migrate function"
        ) from error


def create(context: Any) -> None:
    """Make it, as a step of the migration of *context*; without the right to, go on and say so."""
    if not context.as_sql:
        try:
            make(context.connection)
        except Refused as error:
            context.environment_context.config.attributes.get("notes", []).append(str(error))
        return
    for statement in CREATE.get(_backend(context.dialect), ()):
        if _backend(context.dialect) == "mysql":
            # The client ends a statement at its first semicolon, unless it is told otherwise.
            context.impl.static_output(f"DELIMITER $$\n{_unescaped(statement)}$$\nDELIMITER ;")
        else:
            context.impl.static_output(f"{_unescaped(statement)};")


def drop(context: Any) -> None:
    """Drop it, as a step of the migration of *context*."""
    if statement := DROP.get(_backend(context.dialect)):
        context.impl.execute(statement)


def exists(connection: Connection) -> bool:
    """Whether it is there, or this database has no stored code."""
    if _backend(connection.dialect) not in CREATE:
        return True
    schema = "current_schema()" if _backend(connection.dialect) == "postgresql" else "DATABASE()"
    found = text(
        "SELECT count(*) FROM information_schema.routines "
        f"WHERE routine_name = '{NAME}' AND routine_schema = {schema}"
    )
    return bool(connection.execute(found).scalar_one())


def _backend(dialect: Any) -> str:
    return "mysql" if dialect.name == "mariadb" else str(dialect.name)


def _unescaped(statement: str) -> str:
    return statement.replace("\\:", ":")
