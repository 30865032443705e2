"""Engines: each makes runs durable in its own way."""
