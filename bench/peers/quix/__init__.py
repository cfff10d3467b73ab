"""Quix Streams with its PostgreSQL sink; balances are totals in its keyed state."""
