-- Version 1: everything. Times are integer microseconds since 1970 UTC, but timestamps in incident_log, which people
-- query. JSON is ASCII text in which NaN and Infinity may stand, which the types of PostgreSQL do not know. Columns stand
-- in the order of the fields they keep; a later version adds its columns at the end. Texts sort by code points.

CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,  -- version; digest_key: 32 random bytes in hexadecimal, the key of the digests;
                                         -- last_pruned_no: the greatest number of a run that was pruned
    value TEXT NOT NULL
);

-- Who holds the store: the truth is the advisory lock of its session, this only says who that is.
CREATE TABLE owner (
    one     BOOLEAN PRIMARY KEY DEFAULT TRUE CHECK (one),
    token   TEXT        NOT NULL,  -- random; another one says that somebody else has held the store since
    backend INTEGER     NOT NULL,  -- process of the server that holds the lock
    host    TEXT        NOT NULL,
    pid     INTEGER     NOT NULL,
    since   TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    listens BOOLEAN     NOT NULL   -- whether it is a worker, which takes orders
);

-- What other processes ask of the worker that holds the store, and its answers. They take both away.
CREATE TABLE orders (
    id       BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token    TEXT        NOT NULL,  -- of the holder that is asked
    call     TEXT        NOT NULL,  -- JSON
    asked_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
    is_taken BOOLEAN     NOT NULL DEFAULT FALSE,
    answer   TEXT                   -- JSON
);

CREATE TABLE runs (
    no             BIGINT PRIMARY KEY,
    id             TEXT COLLATE "C" NOT NULL UNIQUE,
    flow           TEXT COLLATE "C" NOT NULL,
    fingerprint    TEXT    NOT NULL,
    status         TEXT COLLATE "C" NOT NULL,
    input          TEXT    NOT NULL,  -- JSON
    input_digest   TEXT    NOT NULL,
    trigger        TEXT COLLATE "C" NOT NULL,
    created_at     BIGINT  NOT NULL,
    scheduled      BOOLEAN NOT NULL,
    due_at         BIGINT,
    delay_s        DOUBLE PRECISION NOT NULL,
    waiting_for    TEXT    NOT NULL,
    output         TEXT,              -- JSON
    error          TEXT    NOT NULL,
    error_key      TEXT    NOT NULL,
    finished_at    BIGINT,
    schema_version BIGINT  NOT NULL,  -- of the rows, under which it was begun
    stop           TEXT    NOT NULL,
    stop_reason    TEXT    NOT NULL,
    deadline_at    BIGINT,
    retries        BIGINT  NOT NULL,
    has_undo       BOOLEAN NOT NULL,
    scheduled_at   BIGINT,
    after_no       BIGINT  NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- Parked runs by due time, and by the time at which they were parked: the clock may be set back.
CREATE INDEX runs_due ON runs (due_at) WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
CREATE INDEX runs_parked ON runs ((due_at - round(delay_s * 1000000)::bigint))
    WHERE status IN ('queued', 'waiting') AND due_at IS NOT NULL;
-- What is unfinished or needs a look; the many that went well are not in it.
CREATE INDEX runs_by_status ON runs (status, no, flow) WHERE status <> 'succeeded';
CREATE INDEX runs_by_flow ON runs (flow, no);
-- What a tick may have to wait for, and what waits for a run to end.
CREATE INDEX runs_of_schedule ON runs (flow, trigger, no)
    WHERE scheduled AND status IN ('queued', 'running', 'waiting');
CREATE INDEX runs_in_turn ON runs (after_no) WHERE status = 'queued' AND after_no > 0;
-- What may be pruned, by age.
CREATE INDEX runs_finished ON runs (finished_at) WHERE status IN ('succeeded', 'failed', 'cancelled');

CREATE TABLE journal (
    run_no      BIGINT  NOT NULL,
    position    TEXT COLLATE "C" NOT NULL,
    place       BIGINT  NOT NULL,  -- Entry.order
    kind        TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    ready_at    BIGINT  NOT NULL,
    activity    TEXT    NOT NULL,
    attempt     BIGINT  NOT NULL,
    failures    BIGINT  NOT NULL,
    lost        BIGINT  NOT NULL,
    inputs      TEXT    NOT NULL,  -- JSON
    secrets     TEXT    NOT NULL,  -- JSON
    output      TEXT    NOT NULL,  -- JSON
    error       TEXT    NOT NULL,
    row_id      BIGINT  NOT NULL,
    due_at      BIGINT,
    finished_at BIGINT,
    done_no     BIGINT  NOT NULL,
    has_turn    BOOLEAN NOT NULL,
    heartbeat   TEXT    NOT NULL,  -- JSON
    PRIMARY KEY (run_no, position)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- Values that are too large for the journal, whose texts refer to them.
CREATE TABLE large (
    run_no BIGINT NOT NULL,
    digest TEXT COLLATE "C" NOT NULL,  -- SHA-256 of the text, in hexadecimal
    text   TEXT   NOT NULL,            -- JSON
    PRIMARY KEY (run_no, digest)
);

-- What each flow looked like under each fingerprint that a run was begun with.
CREATE TABLE outlines (
    fingerprint TEXT COLLATE "C" PRIMARY KEY,
    flow        TEXT NOT NULL,
    text        TEXT NOT NULL
);

-- One row for each send to a paging service.
CREATE TABLE incident_log (
    id              BIGINT PRIMARY KEY,
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
    folded_into     BIGINT,
    superseded_by   BIGINT,
    may_repeat      BOOLEAN NOT NULL,
    late_s          DOUBLE PRECISION NOT NULL,
    settled_at      TIMESTAMPTZ
) WITH (fillfactor = 80);

-- Rows that an owner has to know from the start.
CREATE INDEX incident_log_matters ON incident_log (id)
    WHERE status IN ('pending', 'sending') OR is_open OR repeat_at IS NOT NULL;
-- Rows that are listed before all others.
CREATE INDEX incident_log_first ON incident_log (id)
    WHERE status IN ('pending', 'sending', 'rejected', 'undelivered');
CREATE INDEX incident_log_by_dedup_key ON incident_log (dedup_key);
CREATE INDEX incident_log_by_run ON incident_log (run_id);

CREATE TABLE memory (
    flow TEXT COLLATE "C" NOT NULL,
    key  TEXT COLLATE "C" NOT NULL,
    text TEXT NOT NULL,  -- JSON
    PRIMARY KEY (flow, key)
);

CREATE TABLE ticks (
    flow    TEXT COLLATE "C" NOT NULL,
    trigger TEXT COLLATE "C" NOT NULL,
    at      BIGINT  NOT NULL,
    paused  BOOLEAN NOT NULL,
    PRIMARY KEY (flow, trigger)
);

-- What is kept for a while of runs that were pruned, so that their ids are not taken for new ones.
CREATE TABLE pruned (
    id           TEXT COLLATE "C" PRIMARY KEY,
    no           BIGINT NOT NULL,
    input_digest TEXT   NOT NULL,
    status       TEXT   NOT NULL,
    finished_at  BIGINT,
    pruned_at    BIGINT NOT NULL
);
CREATE INDEX pruned_by_time ON pruned (pruned_at);
