"""The embedded engine: one process, one store, no server."""
