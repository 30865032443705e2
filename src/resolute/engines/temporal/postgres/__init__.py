"""What workers on Temporal share in PostgreSQL beside their incident log."""
