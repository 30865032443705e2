-- Statements by name.

-- name: lock
-- Changes of one memory go one after the other.
SELECT pg_advisory_xact_lock(hashtextextended(%(scope)s || '/' || %(name)s, 0));

-- name: mark
INSERT INTO applied (scope, mark, until) VALUES (
    %(scope)s, %(mark)s, CASE WHEN %(for_ever)s THEN 'infinity' ELSE clock_timestamp() + interval '1 day' END
)
ON CONFLICT (scope, mark) DO NOTHING RETURNING 1;

-- name: memory
SELECT key, value FROM memory WHERE scope = %(scope)s AND name = %(name)s;

-- name: put
INSERT INTO memory (scope, name, key, value)
SELECT %(scope)s, %(name)s, key, value FROM json_each_text(%(values)s) ON CONFLICT (scope, name, key)
DO UPDATE SET value = excluded.value;

-- name: remove
DELETE FROM memory WHERE scope = %(scope)s AND name = %(name)s AND key = ANY(%(keys)s);

-- name: forget_marks
DELETE FROM applied WHERE until < clock_timestamp();

-- name: keep_large
INSERT INTO large_value (digest, content) VALUES (%s, %s) ON CONFLICT (digest) DO NOTHING;

-- name: large
SELECT content FROM large_value WHERE digest = %s;
