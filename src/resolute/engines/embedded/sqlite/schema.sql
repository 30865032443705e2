-- Schema version 3; what leads here from an older file stands in migrations/. Times are integer microseconds since
-- 1970 UTC, but ISO-8601 UTC texts in incident_log, which people query. JSON is ASCII text in which NaN and Infinity may
-- stand. Columns stand in the order of the fields they keep; a later version adds its columns at the end, with a
-- default, which SQLite needs for the rows that are there already.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,  -- schema_version; digest_key: 32 random bytes, the key of this store's digests;
                         -- last_pruned_no: the greatest number of a run that was pruned, which is not given again
    value ANY NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    no             INTEGER PRIMARY KEY,
    id             TEXT    NOT NULL UNIQUE,
    flow           TEXT    NOT NULL,
    fingerprint    TEXT    NOT NULL,
    status         TEXT    NOT NULL,
    input          TEXT    NOT NULL,  -- JSON
    input_digest   TEXT    NOT NULL,
    trigger        TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    scheduled      INTEGER NOT NULL,
    due_at         INTEGER,
    delay_s        REAL    NOT NULL,
    waiting_for    TEXT    NOT NULL,
    output         TEXT,              -- JSON
    error          TEXT    NOT NULL,
    error_key      TEXT    NOT NULL,
    finished_at    INTEGER,
    schema_version INTEGER NOT NULL,  -- under which it was begun
    stop           TEXT    NOT NULL DEFAULT '',
    stop_reason    TEXT    NOT NULL DEFAULT '',
    deadline_at    INTEGER,
    retries        INTEGER NOT NULL DEFAULT 0,
    has_undo       INTEGER NOT NULL DEFAULT 0,
    scheduled_at   INTEGER,
    after_no       INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Parked runs by due time, and by the time at which they were parked: the clock may be set back.
CREATE INDEX runs_due ON runs (due_at) WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
CREATE INDEX runs_parked ON runs (due_at - CAST(round(delay_s * 1000000) AS INTEGER))
    WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
-- What is unfinished or needs a look; the many that went well are not in it. With the flow, so that those of one flow
-- are told apart without a look at each run.
CREATE INDEX runs_by_status ON runs (status, no, flow) WHERE status <> 'succeeded';
CREATE INDEX runs_by_flow ON runs (flow);
-- What a tick may have to wait for, and what waits for a run to end.
CREATE INDEX runs_of_schedule ON runs (flow, trigger, no)
    WHERE scheduled AND status IN ('queued', 'running', 'waiting');
CREATE INDEX runs_in_turn ON runs (after_no) WHERE status = 'queued' AND after_no > 0;
-- What may be pruned, by age.
CREATE INDEX runs_finished ON runs (finished_at) WHERE status IN ('succeeded', 'failed', 'cancelled');

CREATE TABLE journal (
    run_no      INTEGER NOT NULL,
    position    TEXT    NOT NULL,
    place       INTEGER NOT NULL,  -- Entry.order
    kind        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    ready_at    INTEGER NOT NULL,
    activity    TEXT    NOT NULL,
    attempt     INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    lost        INTEGER NOT NULL,
    inputs      TEXT    NOT NULL,  -- JSON
    secrets     TEXT    NOT NULL,  -- JSON
    output      TEXT    NOT NULL,  -- JSON
    error       TEXT    NOT NULL,
    row_id      INTEGER NOT NULL,
    due_at      INTEGER,
    finished_at INTEGER,
    done_no     INTEGER NOT NULL DEFAULT 0,
    has_turn    INTEGER NOT NULL DEFAULT 0,
    heartbeat   TEXT    NOT NULL DEFAULT '',  -- JSON
    PRIMARY KEY (run_no, position)
) STRICT, WITHOUT ROWID;

-- Values that are too large for the journal, whose texts refer to them. With rowid: a b-tree of such rows by their key
-- would be all overflow pages.
CREATE TABLE large (
    run_no INTEGER NOT NULL,
    digest TEXT    NOT NULL,  -- SHA-256 of the text, in hexadecimal
    text   TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (run_no, digest)
) STRICT;

-- What each flow looked like under each fingerprint that a run was begun with.
CREATE TABLE outlines (
    fingerprint TEXT PRIMARY KEY,
    flow        TEXT NOT NULL,
    text        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row for each send to a paging service; see `resolute.ledger.row.Row` for what the columns mean.
CREATE TABLE incident_log (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    created_at      TEXT    NOT NULL,
    title           TEXT    NOT NULL,
    service_key     TEXT    NOT NULL,  -- masked
    urgency         TEXT    NOT NULL,
    body            TEXT    NOT NULL,
    dedup_key       TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    message         TEXT    NOT NULL,
    error_message   TEXT    NOT NULL,
    response_status TEXT    NOT NULL,
    idempotency_key TEXT    NOT NULL UNIQUE,
    run_no          INTEGER NOT NULL,
    run_id          TEXT    NOT NULL,
    position        TEXT    NOT NULL,
    flow            TEXT    NOT NULL,
    scheduled       INTEGER NOT NULL,
    service         TEXT    NOT NULL,
    instance        TEXT    NOT NULL,
    lane            TEXT    NOT NULL,
    host_key        TEXT    NOT NULL,
    action          TEXT    NOT NULL,
    event           TEXT    NOT NULL,  -- JSON
    payload_digest  TEXT    NOT NULL,
    key_secret      TEXT    NOT NULL,
    key_digest      TEXT    NOT NULL,
    since           TEXT    NOT NULL,
    deadline_s      REAL    NOT NULL,
    retry           TEXT    NOT NULL,  -- JSON
    remarks         TEXT    NOT NULL,  -- JSON
    attempts        INTEGER NOT NULL,
    lost            INTEGER NOT NULL,
    sent_at         TEXT,
    unknown_since   TEXT,
    due_at          TEXT,
    held_until      TEXT,
    repeat_at       TEXT,
    awaited         INTEGER NOT NULL,
    is_open         INTEGER NOT NULL,
    folded_into     INTEGER,
    superseded_by   INTEGER,
    may_repeat      INTEGER NOT NULL,
    late_s          REAL    NOT NULL,
    settled_at      TEXT
) STRICT;

-- Rows that an owner has to know from the start.
CREATE INDEX incident_log_matters ON incident_log (id)
    WHERE status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL;
-- Rows that are listed before all others.
CREATE INDEX incident_log_first ON incident_log (id)
    WHERE status IN ('pending', 'sending', 'rejected', 'undelivered');
CREATE INDEX incident_log_by_dedup_key ON incident_log (dedup_key);
CREATE INDEX incident_log_by_run ON incident_log (run_id);

CREATE TABLE memory (
    flow TEXT NOT NULL,
    key  TEXT NOT NULL,
    text TEXT NOT NULL,  -- JSON
    PRIMARY KEY (flow, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE ticks (
    flow    TEXT    NOT NULL,
    trigger TEXT    NOT NULL,
    at      INTEGER NOT NULL,
    paused  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (flow, trigger)
) STRICT, WITHOUT ROWID;

-- What is kept for a while of runs that were pruned, so that their ids are not taken for new ones.
CREATE TABLE pruned (
    id           TEXT    PRIMARY KEY,
    no           INTEGER NOT NULL,
    input_digest TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    finished_at  INTEGER,
    pruned_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pruned_by_time ON pruned (pruned_at);
