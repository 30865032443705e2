-- From schema version 2 to 3: runs that wait for their turn, schedules that are paused, runs that were pruned.

ALTER TABLE runs ADD COLUMN scheduled_at INTEGER;
ALTER TABLE runs ADD COLUMN after_no INTEGER NOT NULL DEFAULT 0;

CREATE INDEX runs_of_schedule ON runs (flow, trigger, no)
    WHERE scheduled AND status IN ('queued', 'running', 'waiting');
CREATE INDEX runs_in_turn ON runs (after_no) WHERE status = 'queued' AND after_no > 0;
CREATE INDEX runs_finished ON runs (finished_at) WHERE status IN ('succeeded', 'failed', 'cancelled');

ALTER TABLE ticks ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;

CREATE TABLE pruned (
    id           TEXT    PRIMARY KEY,
    no           INTEGER NOT NULL,
    input_digest TEXT    NOT NULL,
    status       TEXT    NOT NULL,
    finished_at  INTEGER,
    pruned_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX pruned_by_time ON pruned (pruned_at);
