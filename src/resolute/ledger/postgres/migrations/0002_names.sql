-- Version 2: rows name other rows by their numbers in this log, whichever worker's journal they come from.

ALTER TABLE incident_log ADD COLUMN folded_into BIGINT;  -- the row of the open alert that it was folded into

CREATE OR REPLACE VIEW listed AS SELECT
    id, created_at, title, service_key, urgency, body, dedup_key, status, message, error_message, response_status,
    idempotency_key, run_no, run_id, position, flow, scheduled, service, instance, lane, host_key, action, event,
    payload_digest, key_secret, key_digest, since, deadline_s, retry, remarks, attempts, lost, sent_at,
    unknown_since, due_at, held_until, repeat_at, awaited, is_open, folded_into, superseded_by,
    may_repeat, late_s, settled_at
FROM incident_log;
