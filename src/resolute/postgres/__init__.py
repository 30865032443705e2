"""PostgreSQL for stores and ledgers: addresses, sessions, migrations and named statements."""
