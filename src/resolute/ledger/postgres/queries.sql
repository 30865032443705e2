-- Statements by name. Each exchange with the ledger is one transaction in one round trip, and none is open over a request.

-- name: put_rows
-- Rows as their worker knows them. What another worker's newer event settled stays so, unless this one was accepted all
-- the same; what was told later stays; and of one send that two workers made, the first who had it accepted tells, and
-- the row is that worker's from then on.
INSERT INTO incident_log AS log (
    local_id, created_at, title, service_key, urgency, body, dedup_key, status, message, error_message,
    response_status, idempotency_key, run_no, run_id, position, flow, scheduled, service, instance, lane, host_key,
    action, event, payload_digest, key_secret, key_digest, since, deadline_s, retry, remarks, attempts, lost,
    sent_at, unknown_since, due_at, held_until, repeat_at, awaited, is_open, may_repeat, late_s, settled_at, worker
)
SELECT
    local_id, created_at, title, service_key, urgency, body, dedup_key, status, message, error_message,
    response_status, idempotency_key, run_no, run_id, position, flow, scheduled, service, instance, lane, host_key,
    action, event, payload_digest, key_secret, key_digest, since, deadline_s, retry, remarks, attempts, lost,
    sent_at, unknown_since, due_at, held_until, repeat_at, awaited, is_open, may_repeat, late_s, settled_at, worker
FROM json_populate_recordset(NULL::incident_log, %s)
ON CONFLICT (idempotency_key) DO UPDATE SET
    worker = excluded.worker, local_id = excluded.local_id, lane = excluded.lane,
    title = excluded.title, service_key = excluded.service_key, urgency = excluded.urgency, body = excluded.body,
    status = excluded.status, message = excluded.message, error_message = excluded.error_message,
    response_status = excluded.response_status, run_no = excluded.run_no, position = excluded.position,
    flow = excluded.flow, scheduled = excluded.scheduled, service = excluded.service, instance = excluded.instance,
    action = excluded.action, event = excluded.event, payload_digest = excluded.payload_digest,
    key_secret = excluded.key_secret, key_digest = excluded.key_digest, since = excluded.since,
    deadline_s = excluded.deadline_s, retry = excluded.retry, remarks = excluded.remarks,
    attempts = excluded.attempts, lost = excluded.lost, sent_at = excluded.sent_at,
    unknown_since = excluded.unknown_since, due_at = excluded.due_at, held_until = excluded.held_until,
    repeat_at = excluded.repeat_at, awaited = excluded.awaited, may_repeat = excluded.may_repeat,
    late_s = excluded.late_s, settled_at = excluded.settled_at,
    is_open = CASE WHEN log.status = 'accepted' THEN log.is_open ELSE excluded.is_open END
WHERE
    (excluded.status = 'accepted' AND log.status <> 'accepted')
    OR (
        log.worker = excluded.worker AND excluded.attempts >= log.attempts
        AND (log.status NOT IN ('superseded', 'accepted') OR log.status = excluded.status)
    );

-- name: name_rows
-- After rows were put, in their transaction: what they call by a number of their journal goes by its number in this log,
-- in columns and in texts. A row that was not taken as it was told (xmin) is left as it stands.
UPDATE incident_log AS log SET
    superseded_by = coalesce(newer.id, log.superseded_by),
    message = CASE WHEN newer.id IS NULL THEN log.message
        ELSE regexp_replace(log.message, '\mrow ' || told.superseded_by || '\M', 'row ' || newer.id) END,
    folded_into = coalesce(alert.id, log.folded_into),
    remarks = CASE WHEN alert.id IS NULL THEN log.remarks
        ELSE regexp_replace(
            log.remarks, 'open alert of row ' || told.folded_into || '\M', 'open alert of row ' || alert.id
        ) END
FROM json_to_recordset(%s) AS told (
    idempotency_key text, superseded_by bigint, superseded_by_key text, folded_into bigint, folded_into_key text
)
LEFT JOIN incident_log AS newer ON newer.idempotency_key = told.superseded_by_key
LEFT JOIN incident_log AS alert ON alert.idempotency_key = told.folded_into_key
WHERE log.idempotency_key = told.idempotency_key AND log.xmin = pg_current_xact_id()::xid;

-- name: settle_older
-- What accepted rows make pointless: older rows of their lanes that wait, whoever decided them.
UPDATE incident_log AS older SET
    status = 'superseded', superseded_by = newer.id, settled_at = newer.settled_at, due_at = NULL,
    message = 'a newer ' || newer.action || ' (row ' || newer.id || ' of the shared ledger) took its place'
        || CASE WHEN older.status = 'sending' THEN ' (outcome unknown)' ELSE '' END,
    is_open = older.action = 'trigger' AND older.status = 'sending'
FROM incident_log AS newer
WHERE newer.idempotency_key = ANY(%s) AND newer.status = 'accepted' AND newer.action IN ('trigger', 'resolve')
    AND older.lane = newer.lane AND older.id <> newer.id AND older.created_at < newer.created_at
    AND older.status IN ('pending', 'sending')
    AND NOT EXISTS (
        SELECT 1 FROM lanes WHERE lanes.row_id = older.id AND lanes.lane = older.lane
            AND lanes.lease_until > clock_timestamp()
    );

-- name: close_alerts
-- An accepted resolve closes what was accepted before it; a trigger that is told late is closed by the resolve after it.
UPDATE incident_log AS alert SET is_open = FALSE
FROM incident_log AS told
WHERE told.idempotency_key = ANY(%s) AND told.status = 'accepted' AND alert.lane = told.lane AND alert.is_open
    AND EXISTS (
        SELECT 1 FROM incident_log AS over
        WHERE over.lane = alert.lane AND over.action = 'resolve' AND over.status = 'accepted'
            AND over.settled_at >= alert.settled_at
    );

-- name: release
-- Lanes whose row is done, or waits for its next attempt. A row told as it was before it was claimed releases nothing.
UPDATE lanes SET row_id = NULL, worker = NULL, attempt = NULL, lease_until = NULL
FROM incident_log AS told
WHERE told.idempotency_key = ANY(%s) AND lanes.lane = told.lane AND lanes.row_id = told.id
    AND (
        told.status NOT IN ('pending', 'sending')
        OR (told.due_at IS NOT NULL AND told.attempts >= lanes.attempt)
    );

-- name: make_lane
INSERT INTO lanes (lane) VALUES (%s) ON CONFLICT (lane) DO NOTHING;

-- name: lock_lane
-- Claims of one lane go one after the other; each sees what the one before it has done.
SELECT 1 FROM lanes WHERE lane = %s FOR UPDATE;

-- name: settle_mine
-- A newer event was accepted already: this one is not sent any more.
UPDATE incident_log AS mine SET
    status = 'superseded', superseded_by = newer.id, settled_at = newer.settled_at, due_at = NULL,
    message = 'a newer ' || newer.action || ' (row ' || newer.id || ' of the shared ledger) took its place'
        || CASE WHEN mine.status = 'sending' THEN ' (outcome unknown)' ELSE '' END,
    is_open = mine.action = 'trigger' AND mine.status = 'sending'
FROM (
    SELECT * FROM incident_log
    WHERE lane = %(lane)s AND status = 'accepted' AND action IN ('trigger', 'resolve')
    ORDER BY created_at DESC, id DESC LIMIT 1
) AS newer
WHERE mine.idempotency_key = %(key)s AND mine.status IN ('pending', 'sending')
    AND newer.created_at > mine.created_at AND newer.id <> mine.id;

-- name: lock_lanes
-- The same before rows of many lanes are told: in one order, so that no two wait for each other.
SELECT 1 FROM lanes WHERE lane = ANY(%s) ORDER BY lane FOR UPDATE;

-- name: claim
-- The lane, unless another row has it; no row found means that another worker was first. An accepted resolve is claimed
-- for its second request, unless a newer page makes that harmful.
UPDATE lanes SET
    row_id = mine.id, worker = %(worker)s, attempt = %(attempt)s,
    lease_until = clock_timestamp() + make_interval(secs => %(lease_s)s)
FROM incident_log AS mine
WHERE lanes.lane = %(lane)s AND mine.idempotency_key = %(key)s
    AND (
        mine.status IN ('pending', 'sending')
        OR (
            mine.repeat_at IS NOT NULL AND NOT EXISTS (
                SELECT 1 FROM incident_log AS newer
                WHERE newer.lane = mine.lane AND newer.action = 'trigger' AND newer.created_at > mine.created_at
            )
        )
    )
    AND (
        lanes.lease_until IS NULL OR lanes.lease_until <= clock_timestamp()
        OR (lanes.row_id = mine.id AND lanes.worker = %(worker)s)
    )
    AND (
        mine.action <> 'acknowledge' OR NOT EXISTS (
            SELECT 1 FROM incident_log AS older
            WHERE older.lane = mine.lane AND older.status IN ('pending', 'sending') AND older.id <> mine.id
                AND older.created_at < mine.created_at
        )
    )
RETURNING mine.id;

-- name: take_over
-- A row that was claimed is its sender's from now on: what another worker that had begun it says later is old. The lane
-- is another one where the two have different routing keys.
UPDATE incident_log AS mine SET worker = %(worker)s, local_id = %(local_id)s, lane = %(lane)s
FROM lanes
WHERE mine.idempotency_key = %(key)s AND mine.worker <> %(worker)s
    AND lanes.lane = %(lane)s AND lanes.row_id = mine.id AND lanes.worker = %(worker)s;

-- name: end_leases
-- A worker that begins claims nothing: the one before it has ended, and its requests with it. That it had claimed the
-- lanes stays known: what it was about to send may have been sent.
UPDATE lanes SET lease_until = clock_timestamp() WHERE worker = %s AND lease_until > clock_timestamp();

-- name: look
-- Before the claim: the row, for how long another one has the lane, what its sender should know of the lane, and how far
-- another worker came with the row. One that had claimed it and was never heard of again may have sent it, also where
-- another row has had the lane since.
SELECT
    mine.status, mine.message, mine.response_status, mine.is_open,
    extract(epoch FROM lanes.lease_until - clock_timestamp())::float8,
    EXISTS (
        SELECT 1 FROM incident_log AS other
        WHERE other.lane = mine.lane AND other.id <> mine.id AND other.action = 'trigger'
            AND other.worker <> %(worker)s
            AND (
                other.status = 'sending' OR (other.status = 'superseded' AND other.is_open)
                OR lanes.row_id = other.id
            )
    ),
    alert.id, alert.since,
    CASE
        WHEN left_over.is_sent THEN greatest(mine.attempts, lanes.attempt)
        WHEN mine.worker <> %(worker)s THEN mine.attempts
        ELSE 0
    END,
    CASE
        WHEN left_over.is_sent OR left_over.is_begun THEN mine.lost + 1
        WHEN mine.worker <> %(worker)s THEN mine.lost
        ELSE 0
    END,
    CASE
        WHEN left_over.is_sent
            THEN coalesce(mine.unknown_since, lanes.lease_until - make_interval(secs => %(lease_s)s))
        WHEN left_over.is_begun THEN mine.sent_at
        WHEN mine.worker <> %(worker)s THEN mine.unknown_since
    END
FROM incident_log AS mine
JOIN lanes ON lanes.lane = mine.lane
LEFT JOIN LATERAL (
    SELECT id, since FROM incident_log AS other
    WHERE other.lane = mine.lane AND other.id <> mine.id AND other.is_open AND other.status = 'accepted'
        AND other.worker <> %(worker)s
    ORDER BY id LIMIT 1
) AS alert ON TRUE
CROSS JOIN LATERAL (
    SELECT mine.status IN ('pending', 'sending') AND lanes.row_id IS NOT DISTINCT FROM mine.id
        AND lanes.worker <> %(worker)s AS is_sent,
        mine.status = 'sending' AND mine.unknown_since IS NULL AND mine.worker <> %(worker)s AS is_begun
) AS left_over
WHERE mine.idempotency_key = %(key)s;

-- name: settled
SELECT idempotency_key, status, message, response_status, is_open FROM incident_log
WHERE idempotency_key = ANY(%s) AND status NOT IN ('pending', 'sending');

-- name: may_be_sent
-- Sends that have reached the service, or that another worker may have sent: it had begun a request, or had claimed the
-- lane and was not heard of since. How far this one came with its own it knows better.
SELECT 1 FROM incident_log AS log
LEFT JOIN lanes ON lanes.lane = log.lane AND lanes.row_id = log.id
WHERE log.idempotency_key = ANY(%(keys)s)
    AND (
        log.status IN ('accepted', 'superseded', 'expired')
        OR (log.status = 'sending' AND log.worker <> %(worker)s)
        OR (log.status = 'pending' AND lanes.worker <> %(worker)s)
    );

-- name: abandoned
-- Rows of runs that are in no journal, which nobody has sent, moved or claimed for long; each with whether a request of
-- it was begun of which nothing was heard.
SELECT log.*, log.status = 'sending' OR lanes.row_id IS NOT NULL
FROM listed AS log
LEFT JOIN lanes ON lanes.lane = log.lane AND lanes.row_id = log.id
WHERE log.status IN ('pending', 'sending') AND log.run_no = 0 AND log.run_id <> ''
    AND greatest(log.created_at, log.sent_at, log.due_at, log.held_until, lanes.lease_until)
        < clock_timestamp() - make_interval(secs => %(idle_s)s)
ORDER BY log.id <= %(after)s, log.id LIMIT %(limit)s;

-- name: open_alerts
SELECT DISTINCT lane, dedup_key FROM incident_log
WHERE is_open OR (action = 'trigger' AND status IN ('pending', 'sending'));

-- name: digest_key
SELECT value FROM meta WHERE name = 'digest_key';

-- name: log_first
-- The rows that are listed before all others, newest first.
SELECT * FROM listed
WHERE status IN ('pending', 'sending', 'rejected', 'undelivered') AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: log_rest
SELECT * FROM listed
WHERE status NOT IN ('pending', 'sending', 'rejected', 'undelivered')
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY id DESC LIMIT %(limit)s;

-- name: log_of_run
SELECT * FROM listed
WHERE run_id = %(run_id)s
    AND (%(dedup_key)s::text IS NULL OR dedup_key = %(dedup_key)s)
    AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT %(limit)s;

-- name: log_of_dedup_key
SELECT * FROM listed
WHERE dedup_key = %(dedup_key)s AND (%(status)s::text IS NULL OR status = %(status)s)
ORDER BY status IN ('pending', 'sending', 'rejected', 'undelivered') DESC, id DESC LIMIT %(limit)s;

-- name: log_row
SELECT * FROM listed WHERE id = %s;

-- name: log_by_key
SELECT * FROM listed WHERE idempotency_key = %s;
