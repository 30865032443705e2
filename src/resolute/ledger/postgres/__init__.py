"""The incident log that several workers share, in PostgreSQL."""
