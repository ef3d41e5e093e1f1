"""``celers_enqueue`` of PostgreSQL: a function. What it does about keys, ``store.unique`` explains.

Windows first and then tasks, as there, so that two producers with one key cannot deadlock. What
it raises undoes all of its statement.
"""

from __future__ import annotations

from celers_worker.core.payload import SIZE_LIMIT
from celers_worker.core.task import DEFAULT_MAX_RETRIES, DEFAULT_QUEUE, MAX_RETRIES_LIMIT
from celers_worker.core.uniqueness import SUPERSEDED

NAME = "celers_enqueue"
#: What names a task and a queue.
TASK = "^[A-Za-z_][A-Za-z0-9_.\\:-]{0,254}$"
QUEUE = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"
#: Every round means that a task with the key ended.
ROUNDS = 100

#: How a waiting task becomes the new one; its attempts start anew.
_REPLACE = f"""\
UPDATE celers_tasks t SET
                task_name = {NAME}.name, payload = _payload, priority = {NAME}.priority,
                max_retries = {NAME}.max_retries, metadata = _metadata, queue_name = {NAME}.queue,
                timeout = extract(epoch FROM {NAME}.timeout), expires_at = _now + expires,
                fingerprint = {NAME}.fingerprint, retry_count = 0, crash_count = 0,
                error_message = NULL, lease = t.lease + 1,
                scheduled_at = CASE WHEN debounce IS NULL THEN coalesce(at, _now + delay)
                    ELSE _now + least(debounce, greatest(
                        coalesce(debounce_max - (_now - t.created_at), debounce), '0'))
                    END
            WHERE t.id = _found AND t.unique_key = {NAME}.unique_key AND t.state = 'pending'"""

POSTGRESQL = f"""\
CREATE FUNCTION {NAME}(
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
    metadata jsonb DEFAULT NULL,
    tags text[] DEFAULT NULL,
    unique_for interval DEFAULT NULL,
    on_conflict text DEFAULT 'return',
    debounce interval DEFAULT NULL,
    debounce_max interval DEFAULT NULL
) RETURNS uuid LANGUAGE plpgsql VOLATILE SET search_path FROM CURRENT AS $celers$
DECLARE
    _payload bytea := convert_to(arguments::text, 'UTF8');
    _noise text := md5(concat(random(), random(), pg_backend_pid(), clock_timestamp()));
    _now timestamptz := statement_timestamp();
    _replaces boolean := on_conflict = 'replace' OR debounce IS NOT NULL;
    _metadata jsonb := metadata;
    _id uuid;
    _found uuid;
    _holder uuid;
    _state text;
    _rounds integer := 0;
BEGIN
    IF {NAME}.name !~ '{TASK}' THEN
        RAISE EXCEPTION 'celers_enqueue: % cannot name a task', quote_nullable({NAME}.name)
        USING HINT = 'Use 1 to 255 ASCII letters, digits, _, -, . and colons.';
    ELSIF {NAME}.queue !~ '{QUEUE}' THEN
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
    ELSIF unique_for <= '0' OR debounce <= '0' OR debounce_max < debounce THEN
        RAISE EXCEPTION 'celers_enqueue: unique_for, debounce or debounce_max is too short';
    ELSIF jsonb_typeof(_metadata) <> 'object' THEN
        RAISE EXCEPTION 'celers_enqueue: metadata must be a JSON object';
    ELSIF on_conflict IS NULL OR on_conflict NOT IN ('return', 'replace', 'raise') THEN
        RAISE EXCEPTION 'celers_enqueue: on_conflict must be return, replace or raise';
    ELSIF {NAME}.unique_key IS NULL
        AND (_replaces OR on_conflict = 'raise' OR unique_for IS NOT NULL)
    THEN
        RAISE EXCEPTION 'celers_enqueue: unique_for, on_conflict and debounce need a unique_key';
    ELSIF (debounce_max IS NOT NULL AND debounce IS NULL) OR (debounce IS NOT NULL AND (
        delay <> '0' OR at IS NOT NULL OR unique_for IS NOT NULL OR on_conflict = 'raise'))
    THEN
        RAISE EXCEPTION 'celers_enqueue: debounce does not go with these options'
        USING HINT = 'Not with delay, at, unique_for or raise; debounce_max not without it.';
    END IF;
    IF tags IS NOT NULL THEN
        _metadata := coalesce(_metadata, '{{}}') || jsonb_build_object('tags', to_jsonb(tags));
    END IF;
    IF debounce IS NOT NULL THEN
        delay := debounce;
    END IF;
    _id := concat(
        lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0'),
        '7', substr(_noise, 1, 3), '8', substr(_noise, 4, 15)
    )::uuid;
    LOOP
        _rounds := _rounds + 1;
        IF _rounds > {ROUNDS} THEN
            RAISE EXCEPTION 'celers_enqueue: the unique key changed hands {ROUNDS} times';
        END IF;
        _found := NULL;
        _holder := NULL;
        _state := NULL;
        IF unique_for IS NOT NULL THEN
            INSERT INTO celers_unique_windows AS w (unique_key, task_id, expires_at)
            VALUES ({NAME}.unique_key, _id, _now + unique_for) ON CONFLICT DO NOTHING;
            UPDATE celers_unique_windows w SET task_id = _id, expires_at = _now + unique_for
            WHERE w.unique_key = {NAME}.unique_key AND w.expires_at <= _now;
            SELECT w.task_id INTO _holder FROM celers_unique_windows w
            WHERE w.unique_key = {NAME}.unique_key AND w.expires_at > _now;
            CONTINUE WHEN NOT FOUND;
        END IF;
        IF _holder <> _id THEN
            _found := _holder;
        ELSE
            INSERT INTO celers_tasks (
                id, task_name, payload, state, priority, max_retries, created_at, scheduled_at,
                metadata, queue_name, timeout, expires_at, unique_key, fingerprint
            ) VALUES (
                _id, {NAME}.name, _payload, 'pending', {NAME}.priority, {NAME}.max_retries, _now,
                coalesce(at, _now + delay), _metadata, {NAME}.queue,
                extract(epoch FROM {NAME}.timeout), _now + expires, {NAME}.unique_key,
                {NAME}.fingerprint
            ) ON CONFLICT DO NOTHING;
            EXIT WHEN {NAME}.unique_key IS NULL;
            SELECT t.id, t.state INTO _found, _state FROM celers_tasks t
            WHERE t.unique_key = {NAME}.unique_key;
            CONTINUE WHEN NOT FOUND;
            SELECT w.task_id INTO _holder FROM celers_unique_windows w
            WHERE w.unique_key = {NAME}.unique_key AND w.expires_at > _now;
            EXIT WHEN _found = _id AND coalesce(_holder, _id) = _id;
            IF _found = _id THEN
                DELETE FROM celers_tasks t WHERE t.id = _id;
                _found := _holder;
                _state := NULL;
            ELSIF unique_for IS NOT NULL THEN
                DELETE FROM celers_unique_windows w
                WHERE w.unique_key = {NAME}.unique_key AND w.task_id = _id;
            END IF;
        END IF;
        IF on_conflict = 'raise' THEN
            RAISE unique_violation USING MESSAGE = format(
                'celers_enqueue: task %s has the unique key %L', _found, {NAME}.unique_key
            );
        ELSIF NOT _replaces OR _state = 'blocked' THEN
            EXIT;
        ELSIF _state = 'processing' THEN
            EXIT WHEN unique_for IS NOT NULL OR _holder IS NOT NULL;
            UPDATE celers_tasks t SET unique_key = NULL,
                cancel_reason = coalesce(t.cancel_reason, '{SUPERSEDED}')
            WHERE t.id = _found AND t.unique_key = {NAME}.unique_key AND t.state = 'processing';
        ELSE
            {_REPLACE};
            EXIT WHEN FOUND OR _state IS NULL;
        END IF;
    END LOOP;
    IF at IS NULL AND delay = '0' AND (_replaces OR coalesce(_found, _id) = _id)
        AND pg_try_advisory_xact_lock({0x63656C65}, hashtext({NAME}.queue))
    THEN
        PERFORM pg_notify('celers_tasks', {NAME}.queue);
    END IF;
    RETURN coalesce(_found, _id);
END
$celers$"""
