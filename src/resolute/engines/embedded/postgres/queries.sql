-- Statements by name; the names are those of SQLite's, which ask the same. What puts rows takes them all as one JSON
-- array of objects, which costs the client and the server a fraction of a parameter for each value. What identifies a
-- row or can never change is left as it is, so that the indexes on it are not touched.

-- name: put_run
-- A run, new or changed.
INSERT INTO runs SELECT * FROM json_populate_recordset(NULL::runs, %s)
ON CONFLICT (no) DO UPDATE SET
    fingerprint = excluded.fingerprint, status = excluded.status, input = excluded.input,
    input_digest = excluded.input_digest, trigger = excluded.trigger, created_at = excluded.created_at,
    scheduled = excluded.scheduled, due_at = excluded.due_at, delay_s = excluded.delay_s,
    waiting_for = excluded.waiting_for, output = excluded.output, error = excluded.error,
    error_key = excluded.error_key, finished_at = excluded.finished_at, schema_version = excluded.schema_version,
    stop = excluded.stop, stop_reason = excluded.stop_reason, deadline_at = excluded.deadline_at,
    retries = excluded.retries, has_undo = excluded.has_undo, scheduled_at = excluded.scheduled_at,
    after_no = excluded.after_no;

-- name: put_entry
-- An entry of a run's journal.
INSERT INTO journal SELECT * FROM json_populate_recordset(NULL::journal, %s)
ON CONFLICT (run_no, position) DO UPDATE SET
    place = excluded.place, kind = excluded.kind, key = excluded.key, status = excluded.status,
    ready_at = excluded.ready_at, activity = excluded.activity, attempt = excluded.attempt,
    failures = excluded.failures, lost = excluded.lost, inputs = excluded.inputs, secrets = excluded.secrets,
    output = excluded.output, error = excluded.error, row_id = excluded.row_id, due_at = excluded.due_at,
    finished_at = excluded.finished_at, done_no = excluded.done_no, has_turn = excluded.has_turn,
    heartbeat = excluded.heartbeat;

-- name: put_row
-- A row of the incident log.
INSERT INTO incident_log SELECT * FROM json_populate_recordset(NULL::incident_log, %s)
ON CONFLICT (id) DO UPDATE SET
    created_at = excluded.created_at, title = excluded.title, service_key = excluded.service_key,
    urgency = excluded.urgency, body = excluded.body, status = excluded.status, message = excluded.message,
    error_message = excluded.error_message, response_status = excluded.response_status, run_no = excluded.run_no,
    position = excluded.position, flow = excluded.flow, scheduled = excluded.scheduled, service = excluded.service,
    instance = excluded.instance, lane = excluded.lane, host_key = excluded.host_key, action = excluded.action,
    event = excluded.event, payload_digest = excluded.payload_digest, key_secret = excluded.key_secret,
    key_digest = excluded.key_digest, since = excluded.since, deadline_s = excluded.deadline_s,
    retry = excluded.retry, remarks = excluded.remarks, attempts = excluded.attempts, lost = excluded.lost,
    sent_at = excluded.sent_at, unknown_since = excluded.unknown_since, due_at = excluded.due_at,
    held_until = excluded.held_until, repeat_at = excluded.repeat_at, awaited = excluded.awaited,
    is_open = excluded.is_open, folded_into = excluded.folded_into, superseded_by = excluded.superseded_by,
    may_repeat = excluded.may_repeat, late_s = excluded.late_s, settled_at = excluded.settled_at;

-- name: delete_entry
-- A removal from a run's journal.
DELETE FROM journal WHERE run_no = %s AND position = %s;

-- name: put_large
-- A value that is too large for the journal. What is there already is the same: the digest says so.
INSERT INTO large (run_no, digest, text) VALUES (%s, %s, %s)
ON CONFLICT (run_no, digest) DO NOTHING;

-- name: put_outline
-- What a flow looks like under a fingerprint; what was written down first stays.
INSERT INTO outlines SELECT * FROM json_populate_recordset(NULL::outlines, %s)
ON CONFLICT (fingerprint) DO NOTHING;

-- name: put_memory
-- A write to a flow's memory.
INSERT INTO memory SELECT * FROM json_populate_recordset(NULL::memory, %s)
ON CONFLICT (flow, key) DO UPDATE SET text = excluded.text;

-- name: delete_memory
-- A removal from a flow's memory.
DELETE FROM memory WHERE flow = %s AND key = %s;

-- name: put_tick
-- The latest scheduled time that was seen to.
INSERT INTO ticks (flow, trigger, at, paused)
SELECT flow, trigger, at, FALSE FROM json_populate_recordset(NULL::ticks, %s)
ON CONFLICT (flow, trigger) DO UPDATE SET at = excluded.at;

-- name: put_pause
-- Whether a schedule is paused. The latest time seen to stays.
INSERT INTO ticks (flow, trigger, at, paused) VALUES (%s, %s, %s, %s)
ON CONFLICT (flow, trigger) DO UPDATE SET paused = excluded.paused;

-- name: remember_pruned_no
-- Before a finished run is pruned: its number is not given again.
INSERT INTO meta (name, value)
SELECT 'last_pruned_no', no::text FROM runs
WHERE no = %s AND status IN ('succeeded', 'failed', 'cancelled') AND %s IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = greatest(meta.value::bigint, excluded.value::bigint)::text;

-- name: keep_pruned
-- Before a finished run is pruned: what is kept of it.
INSERT INTO pruned (id, no, input_digest, status, finished_at, pruned_at)
SELECT id, no, input_digest, status, finished_at, given.pruned_at
FROM runs JOIN (VALUES (%s::bigint, %s::bigint)) AS given (run_no, pruned_at) ON runs.no = given.run_no
WHERE status IN ('succeeded', 'failed', 'cancelled')
ON CONFLICT (id) DO UPDATE SET no = excluded.no, input_digest = excluded.input_digest, status = excluded.status,
    finished_at = excluded.finished_at, pruned_at = excluded.pruned_at;

-- name: prune_journal
DELETE FROM journal USING runs WHERE journal.run_no = runs.no
    AND runs.no = %s AND %s IS NOT NULL AND runs.status IN ('succeeded', 'failed', 'cancelled');

-- name: prune_large
DELETE FROM large USING runs WHERE large.run_no = runs.no
    AND runs.no = %s AND %s IS NOT NULL AND runs.status IN ('succeeded', 'failed', 'cancelled');

-- name: prune_run
-- After all that belongs to it.
DELETE FROM runs WHERE no = %s AND %s IS NOT NULL AND status IN ('succeeded', 'failed', 'cancelled');

-- name: forget
-- The ids under which something was sent stay.
DELETE FROM pruned WHERE pruned_at < %s AND NOT EXISTS (SELECT 1 FROM incident_log WHERE run_id = pruned.id);

-- name: try_lock
-- The right to write the store, held by the session until it ends.
SELECT pg_try_advisory_lock(%s, hashtext(%s));

-- name: unlock
SELECT pg_advisory_unlock(%s, hashtext(%s));

-- name: end_session
-- The session of this process that was lost, where the server has not seen that it is: it still holds the lock.
SELECT pg_terminate_backend(pid, 2000) FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s::oid AND objid::bigint = hashtext(%s)::bigint & 4294967295 AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted AND pid = %s;

-- name: is_held
-- Whether some session holds the store.
SELECT count(*) > 0 FROM pg_locks
WHERE locktype = 'advisory' AND classid = %s::oid AND objid::bigint = hashtext(%s)::bigint & 4294967295 AND objsubid = 2
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted;

-- name: put_owner
INSERT INTO owner (token, backend, host, pid, listens) VALUES (%s, pg_backend_pid(), %s, %s, %s)
ON CONFLICT (one) DO UPDATE SET token = excluded.token, backend = excluded.backend, host = excluded.host,
    pid = excluded.pid, listens = excluded.listens,
    since = CASE WHEN owner.token = excluded.token THEN owner.since ELSE excluded.since END;

-- name: remove_owner
-- Let go in good order: whoever comes need not wait for a worker that has only lost its session.
DELETE FROM owner WHERE token = %s;

-- name: owner
SELECT token, backend, host, pid, since, listens FROM owner;

-- name: next_run_no
-- Numbers are not given twice, also when the newest runs were pruned.
SELECT greatest(
    (SELECT max(no) FROM runs), (SELECT value::bigint FROM meta WHERE name = 'last_pruned_no'), 0
) + 1;

-- name: next_row_id
SELECT coalesce(max(id), 0) + 1 FROM incident_log;

-- name: rows_that_matter
-- Unsettled, open or to be repeated; word for word the condition of the index.
SELECT * FROM incident_log
WHERE status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL
ORDER BY id;

-- name: ticks
SELECT flow, trigger, at, paused FROM ticks ORDER BY flow, trigger;

-- name: latest_unfinished
SELECT max(no) FROM runs
WHERE flow = %s AND trigger = %s AND scheduled AND status IN ('queued', 'running', 'waiting');

-- name: in_turn
SELECT no, after_no FROM runs WHERE status = 'queued' AND after_no > 0 ORDER BY no;

-- name: prunable_by_age
-- Finished before an instant, and needed neither for a row of the incident log nor by a parent or a child. (The ids of
-- children begin with that of their parent and a slash; '0' comes next after it.)
SELECT no FROM runs
WHERE status IN ('succeeded', 'failed', 'cancelled') AND finished_at < %(before)s
    AND (%(flow)s::text IS NULL OR flow = %(flow)s)
    AND NOT EXISTS (
        SELECT 1 FROM incident_log AS log WHERE log.run_id = runs.id
            AND (log.status IN ('pending', 'sending') OR log.is_open OR log.repeat_at IS NOT NULL)
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS parent
        WHERE parent.no = CASE WHEN starts_with(runs.trigger, 'child:') THEN substr(runs.trigger, 7)::bigint END
            AND parent.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS child WHERE child.id > runs.id || '/' AND child.id < runs.id || '0'
            AND child.trigger = 'child:' || runs.no AND child.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
ORDER BY finished_at, no LIMIT %(limit)s;

-- name: prunable_beyond
-- Beyond the newest finished ones of each flow. The names of flows are found by steps through their index.
WITH RECURSIVE
    names (flow) AS (
        SELECT min(flow) FROM runs
        UNION ALL
        SELECT (SELECT min(runs.flow) FROM runs WHERE runs.flow > names.flow) FROM names WHERE names.flow IS NOT NULL
    ),
    newest (flow, no) AS (
        SELECT flow, (
            SELECT no FROM runs
            WHERE runs.flow = names.flow AND status IN ('succeeded', 'failed', 'cancelled')
            ORDER BY no DESC LIMIT 1 OFFSET %(keep)s
        ) FROM names WHERE flow IS NOT NULL AND (%(flow)s::text IS NULL OR flow = %(flow)s)
    )
SELECT runs.no FROM newest JOIN runs ON runs.flow = newest.flow AND runs.no <= newest.no
WHERE runs.status IN ('succeeded', 'failed', 'cancelled')
    AND NOT EXISTS (
        SELECT 1 FROM incident_log AS log WHERE log.run_id = runs.id
            AND (log.status IN ('pending', 'sending') OR log.is_open OR log.repeat_at IS NOT NULL)
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS parent
        WHERE parent.no = CASE WHEN starts_with(runs.trigger, 'child:') THEN substr(runs.trigger, 7)::bigint END
            AND parent.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS child WHERE child.id > runs.id || '/' AND child.id < runs.id || '0'
            AND child.trigger = 'child:' || runs.no AND child.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
ORDER BY newest.flow, runs.no LIMIT %(limit)s;

-- name: pruned
SELECT id, no, input_digest, status, finished_at, pruned_at FROM pruned WHERE id = %s;

-- name: run_by_id
SELECT * FROM runs WHERE id = %s;

-- name: run_by_no
SELECT * FROM runs WHERE no = %s;

-- name: journal_of_run
SELECT * FROM journal WHERE run_no = %s ORDER BY place;

-- name: running
SELECT no FROM runs WHERE status = 'running' AND status <> 'succeeded' ORDER BY no;

-- name: unfinished
-- Three walks through the index in the order of the numbers, merged; each stops at the limit.
SELECT no FROM (
    (SELECT no FROM runs WHERE status = 'queued' AND no > %(after)s ORDER BY no LIMIT %(limit)s)
    UNION ALL
    (SELECT no FROM runs WHERE status = 'running' AND no > %(after)s ORDER BY no LIMIT %(limit)s)
    UNION ALL
    (SELECT no FROM runs WHERE status = 'waiting' AND no > %(after)s ORDER BY no LIMIT %(limit)s)
) AS found
ORDER BY no LIMIT %(limit)s;

-- name: due
-- Due by their time, or parked at a time that lies ahead by more than a second: the clock was set back.
SELECT no FROM (
    (
        SELECT no, due_at FROM runs
        WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL AND due_at <= %(now)s
        ORDER BY due_at, no LIMIT %(limit)s
    )
    UNION
    SELECT no, due_at FROM runs
    WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL
        AND due_at - round(delay_s * 1000000)::bigint > %(now)s::bigint + 1000000
) AS found
ORDER BY due_at, no LIMIT %(limit)s;

-- name: next_due
SELECT min(due_at) FROM runs WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL AND due_at > %s;

-- name: newest_runs
SELECT * FROM runs ORDER BY no DESC LIMIT %(limit)s;

-- name: runs_that_went_well
SELECT * FROM runs WHERE status = %(status)s ORDER BY no DESC LIMIT %(limit)s;

-- name: runs_by_status
-- Any status but 'succeeded': those have an index.
SELECT * FROM runs
WHERE status = %(status)s AND status <> 'succeeded' AND (%(flow)s::text IS NULL OR flow = %(flow)s)
ORDER BY no DESC LIMIT %(limit)s;

-- name: runs_of_flow
SELECT * FROM runs
WHERE flow = %(flow)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY no DESC LIMIT %(limit)s;

-- name: log_first
-- The rows that are listed before all others, newest first.
SELECT * FROM incident_log
WHERE status IN ('pending', 'sending', 'rejected', 'undelivered') AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: log_rest
SELECT * FROM incident_log
WHERE status NOT IN ('pending', 'sending', 'rejected', 'undelivered')
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: log_of_run
SELECT * FROM incident_log
WHERE run_id = %(run_id)s
    AND (%(dedup_key)s::text IS NULL OR dedup_key = %(dedup_key)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT %(limit)s;

-- name: log_of_dedup_key
SELECT * FROM incident_log
WHERE dedup_key = %(dedup_key)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT %(limit)s;

-- name: log_row
SELECT * FROM incident_log WHERE id = %s;

-- name: log_by_key
SELECT * FROM incident_log WHERE idempotency_key = %s;

-- name: large
-- As bytes, whose digest is taken.
SELECT convert_to(text, 'UTF8') FROM large WHERE run_no = %s AND digest = %s;

-- name: outline
SELECT text FROM outlines WHERE fingerprint = %s;

-- name: memory_of_flow
SELECT key, text FROM memory WHERE flow = %s;

-- name: digest_key
SELECT value FROM meta WHERE name = 'digest_key';

-- name: place_order
INSERT INTO orders (token, call) VALUES (%s, %s) RETURNING id;

-- name: take_orders
-- Each order is carried out once; what was asked of an earlier holder is not.
UPDATE orders SET is_taken = TRUE WHERE token = (SELECT token FROM owner) AND NOT is_taken RETURNING id, call;

-- name: answer_order
UPDATE orders SET answer = %s WHERE id = %s;

-- name: look_at_order
-- The answer, and whether the one who was asked still holds the store.
SELECT
    (SELECT answer FROM orders WHERE id = %(id)s),
    (SELECT is_taken FROM orders WHERE id = %(id)s),
    (SELECT token = %(token)s FROM owner),
    EXISTS (
        SELECT 1 FROM pg_locks
        WHERE locktype = 'advisory' AND classid = %(lock)s::oid AND objsubid = 2
            AND objid::bigint = hashtext(%(schema)s)::bigint & 4294967295
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND granted
    );

-- name: remove_order
DELETE FROM orders WHERE id = %s;

-- name: remove_old_orders
-- Of callers that went away before they had their answer.
DELETE FROM orders WHERE asked_at < clock_timestamp() - interval '1 hour';

-- name: tables
-- The tables of the store, by name.
SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename;

-- name: space
-- What the tables take on the disk, with their indexes and what is stored apart.
SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class
WHERE relkind = 'r' AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema());
