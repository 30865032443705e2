-- Version 1: what the workers of a task queue keep together. A scope is a namespace and a task queue.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE memory (
    scope TEXT NOT NULL,
    name TEXT NOT NULL,  -- of a flow, of its cursors, or of ours
    key TEXT NOT NULL,
    value TEXT NOT NULL,  -- JSON
    PRIMARY KEY (scope, name, key)
);

-- What was written once and is not written again; a worker may die before it can tell that it has.
CREATE TABLE applied (
    scope TEXT NOT NULL,
    mark TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL,  -- after this time nothing is tried a second time
    PRIMARY KEY (scope, mark)
);

CREATE INDEX applied_until ON applied (until);

-- By digest, so the same value stands here once, whichever runs hand it on.
CREATE TABLE large_value (
    digest TEXT PRIMARY KEY,
    content TEXT NOT NULL,
    kept_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
);
