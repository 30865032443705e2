-- Statements by name. In those that put a row, columns stand in the order of the table; what identifies a row or
-- can never change is left as it is, so that the indexes on it are not touched. Where those say VALUES (?), the
-- loader writes a placeholder for each column, and as many rows as it is asked for.

-- name: put_run
-- A run, new or changed.
INSERT INTO runs (
    no, id, flow, fingerprint, status, input, input_digest, trigger, created_at, scheduled, due_at, delay_s,
    waiting_for, output, error, error_key, finished_at, schema_version, stop, stop_reason, deadline_at, retries,
    has_undo, scheduled_at, after_no
) VALUES (?)
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
INSERT INTO journal (
    run_no, position, place, kind, key, status, ready_at, activity, attempt, failures, lost, inputs, secrets,
    output, error, row_id, due_at, finished_at, done_no, has_turn, heartbeat
) VALUES (?)
ON CONFLICT (run_no, position) DO UPDATE SET
    place = excluded.place, kind = excluded.kind, key = excluded.key, status = excluded.status,
    ready_at = excluded.ready_at, activity = excluded.activity, attempt = excluded.attempt,
    failures = excluded.failures, lost = excluded.lost, inputs = excluded.inputs, secrets = excluded.secrets,
    output = excluded.output, error = excluded.error, row_id = excluded.row_id, due_at = excluded.due_at,
    finished_at = excluded.finished_at, done_no = excluded.done_no, has_turn = excluded.has_turn,
    heartbeat = excluded.heartbeat;

-- name: delete_entry
-- A removal from a run's journal.
DELETE FROM journal WHERE run_no = ? AND position = ?;

-- name: put_large
-- A value that is too large for the journal. What is there already is the same: the digest says so.
INSERT INTO large (run_no, digest, text) VALUES (?)
ON CONFLICT (run_no, digest) DO NOTHING;

-- name: put_outline
-- What a flow looks like under a fingerprint; what was written down first stays.
INSERT INTO outlines (fingerprint, flow, text) VALUES (?)
ON CONFLICT (fingerprint) DO NOTHING;

-- name: put_row
-- A row of the incident log.
INSERT INTO incident_log (
    id, created_at, title, service_key, urgency, body, dedup_key, status, message, error_message, response_status,
    idempotency_key, run_no, run_id, position, flow, scheduled, service, instance, lane, host_key, action, event,
    payload_digest, key_secret, key_digest, since, deadline_s, retry, remarks, attempts, lost, sent_at,
    unknown_since, due_at, held_until, repeat_at, awaited, is_open, folded_into, superseded_by, may_repeat, late_s, settled_at
) VALUES (?)
ON CONFLICT (id) DO UPDATE SET
    created_at = excluded.created_at, title = excluded.title, service_key = excluded.service_key,
    urgency = excluded.urgency, body = excluded.body, status = excluded.status, message = excluded.message,
    error_message = excluded.error_message, response_status = excluded.response_status, run_no = excluded.run_no,
    position = excluded.position, flow = excluded.flow, scheduled = excluded.scheduled, service = excluded.service,
    instance = excluded.instance, lane = excluded.lane, host_key = excluded.host_key, action = excluded.action,
    event = excluded.event, payload_digest = excluded.payload_digest, key_secret = excluded.key_secret,
    key_digest = excluded.key_digest, since = excluded.since, deadline_s = excluded.deadline_s,
    retry = excluded.retry, remarks = excluded.remarks, attempts = excluded.attempts, lost = excluded.lost, sent_at = excluded.sent_at,
    unknown_since = excluded.unknown_since, due_at = excluded.due_at, held_until = excluded.held_until,
    repeat_at = excluded.repeat_at, awaited = excluded.awaited, is_open = excluded.is_open,
    folded_into = excluded.folded_into, superseded_by = excluded.superseded_by, may_repeat = excluded.may_repeat,
    late_s = excluded.late_s, settled_at = excluded.settled_at;

-- name: put_memory
-- A write to a flow's memory.
INSERT INTO memory (flow, key, text) VALUES (?)
ON CONFLICT (flow, key) DO UPDATE SET text = excluded.text;

-- name: delete_memory
-- A removal from a flow's memory.
DELETE FROM memory WHERE flow = ? AND key = ?;

-- name: put_tick
-- The latest scheduled time that was seen to.
INSERT INTO ticks (flow, trigger, at) VALUES (?)
ON CONFLICT (flow, trigger) DO UPDATE SET at = excluded.at;

-- name: put_pause
-- Whether a schedule is paused; the latest time that was seen to stays.
INSERT INTO ticks (flow, trigger, at, paused) VALUES (?)
ON CONFLICT (flow, trigger) DO UPDATE SET paused = excluded.paused;

-- name: remember_pruned_no
-- Before a finished run is pruned: its number is not given again.
INSERT INTO meta (name, value)
SELECT 'last_pruned_no', no FROM runs WHERE no = ?1 AND status IN ('succeeded', 'failed', 'cancelled') AND ?2 IS NOT NULL
ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value);

-- name: keep_pruned
-- Before a finished run is pruned: what is kept of it. (Without WHERE, SQLite would take ON for that of a join.)
INSERT INTO pruned (id, no, input_digest, status, finished_at, pruned_at)
SELECT id, no, input_digest, status, finished_at, ?2 FROM runs
WHERE no = ?1 AND status IN ('succeeded', 'failed', 'cancelled')
ON CONFLICT (id) DO UPDATE SET no = excluded.no, input_digest = excluded.input_digest, status = excluded.status,
    finished_at = excluded.finished_at, pruned_at = excluded.pruned_at;

-- name: prune_journal
DELETE FROM journal WHERE run_no = ?1 AND ?2 IS NOT NULL
    AND EXISTS (SELECT 1 FROM runs WHERE no = ?1 AND status IN ('succeeded', 'failed', 'cancelled'));

-- name: prune_large
DELETE FROM large WHERE run_no = ?1 AND ?2 IS NOT NULL
    AND EXISTS (SELECT 1 FROM runs WHERE no = ?1 AND status IN ('succeeded', 'failed', 'cancelled'));

-- name: prune_run
-- After all that belongs to it.
DELETE FROM runs WHERE no = ?1 AND ?2 IS NOT NULL AND status IN ('succeeded', 'failed', 'cancelled');

-- name: forget
-- The ids under which something was sent stay.
DELETE FROM pruned WHERE pruned_at < ? AND NOT EXISTS (SELECT 1 FROM incident_log WHERE run_id = pruned.id);

-- name: tables
-- What the file holds; nothing yet, when it is new.
SELECT name FROM sqlite_master WHERE type = 'table';

-- name: meta
-- Schema version and digest key.
SELECT value FROM meta WHERE name = ?;

-- name: put_meta
-- What the file says of itself; written once.
INSERT INTO meta (name, value) VALUES (?);

-- name: set_schema_version
-- The last statement of a migration.
UPDATE meta SET value = ? WHERE name = 'schema_version';

-- name: next_run_no
-- Numbers are not given twice, also when the newest runs were pruned.
SELECT max(
    coalesce((SELECT max(no) FROM runs), 0), coalesce((SELECT value FROM meta WHERE name = 'last_pruned_no'), 0)
) + 1;

-- name: next_row_id
-- Ids of the incident log are not given twice, also when its newest rows were removed.
SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence WHERE name = 'incident_log';

-- name: rows_that_matter
-- Unsettled, open or to be repeated; word for word the condition of the index.
SELECT * FROM incident_log
WHERE status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL
ORDER BY id;

-- name: ticks
SELECT flow, trigger, at, paused FROM ticks ORDER BY flow, trigger;

-- name: latest_unfinished
SELECT max(no) FROM runs
WHERE flow = ? AND trigger = ? AND scheduled AND status IN ('queued', 'running', 'waiting');

-- name: in_turn
SELECT no, after_no FROM runs WHERE status = 'queued' AND after_no > 0 ORDER BY +no;

-- name: prunable_by_age
-- Finished before an instant, and needed neither for a row of the incident log nor by a parent or a child. (The ids of
-- children begin with that of their parent and a slash; '0' comes next after it.)
SELECT no FROM runs
WHERE status IN ('succeeded', 'failed', 'cancelled') AND finished_at < :before AND (:flow IS NULL OR +flow = :flow)
    AND NOT EXISTS (
        SELECT 1 FROM incident_log WHERE run_id = runs.id
            AND (+incident_log.status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL)
    )
    AND (
        runs.trigger NOT LIKE 'child:%' OR NOT EXISTS (
            SELECT 1 FROM runs AS parent WHERE parent.no = CAST(substr(runs.trigger, 7) AS INTEGER)
                AND parent.status NOT IN ('succeeded', 'failed', 'cancelled')
        )
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS child WHERE child.id > runs.id || '/' AND child.id < runs.id || '0'
            AND child.trigger = 'child:' || runs.no AND +child.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
ORDER BY finished_at, no LIMIT :limit;

-- name: prunable_beyond
-- Beyond the newest finished ones of each flow. The names of flows are found by steps through their index.
WITH RECURSIVE
    names (flow) AS (
        SELECT min(flow) FROM runs
        UNION ALL
        SELECT (SELECT min(flow) FROM runs WHERE flow > names.flow) FROM names WHERE names.flow IS NOT NULL
    ),
    newest (flow, no) AS (
        SELECT flow, (
            SELECT no FROM runs
            WHERE runs.flow = names.flow AND +status IN ('succeeded', 'failed', 'cancelled')
            ORDER BY no DESC LIMIT 1 OFFSET :keep
        ) FROM names WHERE flow IS NOT NULL AND (:flow IS NULL OR flow = :flow)
    )
SELECT runs.no FROM newest CROSS JOIN runs ON runs.flow = newest.flow AND runs.no <= newest.no
WHERE +runs.status IN ('succeeded', 'failed', 'cancelled')
    AND NOT EXISTS (
        SELECT 1 FROM incident_log WHERE run_id = runs.id
            AND (+incident_log.status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL)
    )
    AND (
        runs.trigger NOT LIKE 'child:%' OR NOT EXISTS (
            SELECT 1 FROM runs AS parent WHERE parent.no = CAST(substr(runs.trigger, 7) AS INTEGER)
                AND parent.status NOT IN ('succeeded', 'failed', 'cancelled')
        )
    )
    AND NOT EXISTS (
        SELECT 1 FROM runs AS child WHERE child.id > runs.id || '/' AND child.id < runs.id || '0'
            AND child.trigger = 'child:' || runs.no AND +child.status NOT IN ('succeeded', 'failed', 'cancelled')
    )
ORDER BY newest.flow, runs.no LIMIT :limit;

-- name: pruned_by_ids
SELECT id, no, input_digest, status, finished_at, pruned_at FROM pruned WHERE id IN (SELECT value FROM json_each(?));

-- name: pruned
SELECT id, no, input_digest, status, finished_at, pruned_at FROM pruned WHERE id = ?;

-- name: run_by_id
SELECT * FROM runs WHERE id = ?;

-- name: runs_by_ids
SELECT * FROM runs WHERE id IN (SELECT value FROM json_each(?));

-- name: run_by_no
SELECT * FROM runs WHERE no = ?;

-- name: journal_of_run
SELECT * FROM journal WHERE run_no = ? ORDER BY place;

-- name: running
SELECT no FROM runs WHERE status = 'running' AND status <> 'succeeded' ORDER BY no;

-- name: unfinished
-- Three walks through the index in the order of the numbers, merged; each stops at the limit.
SELECT no FROM runs WHERE status = 'queued' AND status <> 'succeeded' AND no > :after
UNION ALL
SELECT no FROM runs WHERE status = 'running' AND status <> 'succeeded' AND no > :after
UNION ALL
SELECT no FROM runs WHERE status = 'waiting' AND status <> 'succeeded' AND no > :after
ORDER BY no LIMIT :limit;

-- name: due
-- Due by their time, or parked at a time that lies ahead by more than a second: the clock was set back.
SELECT no FROM (
    SELECT no, due_at FROM (
        SELECT no, due_at FROM runs
        WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL AND due_at <= :now
        ORDER BY due_at, no LIMIT :limit
    )
    UNION
    SELECT no, due_at FROM runs
    WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL
        AND due_at - CAST(round(delay_s * 1000000) AS INTEGER) > :now + 1000000
)
ORDER BY due_at, no LIMIT :limit;

-- name: next_due
SELECT min(due_at) FROM runs WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL AND due_at > ?;

-- name: newest_runs
SELECT * FROM runs ORDER BY no DESC LIMIT :limit;

-- name: runs_that_went_well
SELECT * FROM runs WHERE status = :status ORDER BY no DESC LIMIT :limit;

-- name: runs_by_status
-- Any status but 'succeeded': those have an index.
SELECT * FROM runs
WHERE status = :status AND status <> 'succeeded' AND (:flow IS NULL OR +flow = :flow)
ORDER BY no DESC LIMIT :limit;

-- name: runs_of_flow
-- With any status, or 'succeeded', which most of them are.
SELECT * FROM runs
WHERE flow = :flow AND (:status IS NULL OR +status = :status)
ORDER BY no DESC LIMIT :limit;

-- name: log_first
-- The rows that are listed before all others, newest first.
SELECT * FROM incident_log
WHERE status IN ('pending', 'sending', 'rejected', 'undelivered') AND (:status IS NULL OR status = :status)
ORDER BY id DESC LIMIT :limit;

-- name: log_rest
SELECT * FROM incident_log
WHERE status NOT IN ('pending', 'sending', 'rejected', 'undelivered') AND (:status IS NULL OR status = :status)
ORDER BY id DESC LIMIT :limit;

-- name: log_of_run
SELECT * FROM incident_log
WHERE run_id = :run_id
    AND (:dedup_key IS NULL OR +dedup_key = :dedup_key)
    AND (:status IS NULL OR status = :status)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT :limit;

-- name: log_of_dedup_key
SELECT * FROM incident_log
WHERE dedup_key = :dedup_key AND (:status IS NULL OR status = :status)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT :limit;

-- name: log_row
SELECT * FROM incident_log WHERE id = ?;

-- name: log_by_key
SELECT * FROM incident_log WHERE idempotency_key = ?;

-- name: large
-- As bytes, so that also what is no text any more can be told from what was written.
SELECT CAST(text AS BLOB) FROM large WHERE run_no = ? AND digest = ?;

-- name: outline
SELECT text FROM outlines WHERE fingerprint = ?;

-- name: memory_of_flow
SELECT key, text FROM memory WHERE flow = ?;
