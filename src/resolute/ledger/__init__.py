"""The incident log: every event for a paging service, from intent to settlement."""
