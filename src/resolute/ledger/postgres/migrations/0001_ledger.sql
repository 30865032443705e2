-- Version 1: the incident log of several workers. Times are of the workers' clocks, but for leases.

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,  -- version; digest_key: 32 random bytes in hexadecimal, the same for all workers
    value TEXT NOT NULL
);

-- One row for each send to a paging service, as its worker has told it last.
CREATE TABLE incident_log (
    id              BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    created_at      TIMESTAMPTZ NOT NULL,
    title           TEXT    NOT NULL,
    service_key     TEXT    NOT NULL,  -- masked
    urgency         TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    dedup_key       TEXT COLLATE "C" NOT NULL,
    status          TEXT COLLATE "C" NOT NULL,
    message         TEXT    NOT NULL,
    error_message   TEXT    NOT NULL,
    response_status TEXT    NOT NULL,
    idempotency_key TEXT COLLATE "C" NOT NULL UNIQUE,
    run_no          BIGINT  NOT NULL,
    run_id          TEXT COLLATE "C" NOT NULL,
    position        TEXT    NOT NULL,
    flow            TEXT    NOT NULL,
    scheduled       BOOLEAN NOT NULL,
    service         TEXT    NOT NULL,
    instance        TEXT    NOT NULL,
    lane            TEXT COLLATE "C" NOT NULL,
    host_key        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    event           TEXT    NOT NULL,  -- JSON
    payload_digest  TEXT    NOT NULL,
    key_secret      TEXT    NOT NULL,
    key_digest      TEXT    NOT NULL,
    since           TIMESTAMPTZ NOT NULL,
    deadline_s      DOUBLE PRECISION NOT NULL,
    retry           TEXT    NOT NULL,  -- JSON
    remarks         TEXT    NOT NULL,  -- JSON
    attempts        BIGINT  NOT NULL,
    lost            BIGINT  NOT NULL,
    sent_at         TIMESTAMPTZ,
    unknown_since   TIMESTAMPTZ,
    due_at          TIMESTAMPTZ,
    held_until      TIMESTAMPTZ,
    repeat_at       TIMESTAMPTZ,
    awaited         BOOLEAN NOT NULL,
    is_open         BOOLEAN NOT NULL,
    may_repeat      BOOLEAN NOT NULL,
    late_s          DOUBLE PRECISION NOT NULL,
    settled_at      TIMESTAMPTZ,
    local_id        BIGINT  NOT NULL,  -- its number in the journal of the worker that decided it
    worker          TEXT    NOT NULL,  -- that worker's name, random
    superseded_by   BIGINT             -- the row of another worker that took its place
) WITH (fillfactor = 80);

-- Rows that are listed before all others, and alerts that are or may be open.
CREATE INDEX incident_log_first ON incident_log (id)
    WHERE status IN ('pending', 'sending', 'rejected', 'undelivered');
CREATE INDEX incident_log_open ON incident_log (lane)
    WHERE is_open OR (action = 'trigger' AND status IN ('pending', 'sending'));
CREATE INDEX incident_log_by_lane ON incident_log (lane, created_at);
CREATE INDEX incident_log_by_dedup_key ON incident_log (dedup_key);
CREATE INDEX incident_log_by_run ON incident_log (run_id);

-- Which row of a lane may be sent now, by whom and until when on this server's clock.
CREATE TABLE lanes (
    lane        TEXT COLLATE "C" PRIMARY KEY,
    row_id      BIGINT,
    worker      TEXT,
    attempt     BIGINT,  -- which request of the row it was claimed for
    lease_until TIMESTAMPTZ
) WITH (fillfactor = 80);

-- The columns of a journal's incident_log in their order.
CREATE VIEW listed AS SELECT
    id, created_at, title, service_key, urgency, body, dedup_key, status, message, error_message, response_status,
    idempotency_key, run_no, run_id, position, flow, scheduled, service, instance, lane, host_key, action, event,
    payload_digest, key_secret, key_digest, since, deadline_s, retry, remarks, attempts, lost, sent_at,
    unknown_since, due_at, held_until, repeat_at, awaited, is_open, NULL::bigint AS folded_into, superseded_by,
    may_repeat, late_s, settled_at
FROM incident_log;
