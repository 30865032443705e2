"""The SQLite journal: `store` writes through `writer`, `reader` only looks, `backup` copies; the .sql files say how."""
