-- From schema version 1 to 2: runs that are stopped or taken up again, values too large for the journal, outlines of flows.

ALTER TABLE runs ADD COLUMN stop TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN stop_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN deadline_at INTEGER;
ALTER TABLE runs ADD COLUMN retries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN has_undo INTEGER NOT NULL DEFAULT 0;

DROP INDEX runs_by_status;
CREATE INDEX runs_by_status ON runs (status, no, flow) WHERE status <> 'succeeded';

ALTER TABLE journal ADD COLUMN done_no INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN has_turn INTEGER NOT NULL DEFAULT 0;
ALTER TABLE journal ADD COLUMN heartbeat TEXT NOT NULL DEFAULT '';

-- What is done is numbered in each run as it was committed: by its time, and within one batch by its place.
-- With OR ROLLBACK SQLite keeps no copy of the changed pages in memory, which is the size of the table.
UPDATE OR ROLLBACK journal SET done_no = numbered.done_no
FROM (
    SELECT run_no, position, row_number() OVER (PARTITION BY run_no ORDER BY finished_at, place) AS done_no
    FROM journal WHERE status = 'done'
) AS numbered
WHERE journal.run_no = numbered.run_no AND journal.position = numbered.position;

CREATE TABLE large (
    run_no INTEGER NOT NULL,
    digest TEXT    NOT NULL,
    text   TEXT    NOT NULL,
    PRIMARY KEY (run_no, digest)
) STRICT;

CREATE TABLE outlines (
    fingerprint TEXT PRIMARY KEY,
    flow        TEXT NOT NULL,
    text        TEXT NOT NULL
) STRICT, WITHOUT ROWID;
