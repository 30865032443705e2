"""The SQLite journal: `store` writes through `writer`, `reader` only looks; `rows` and the two .sql files say how."""
