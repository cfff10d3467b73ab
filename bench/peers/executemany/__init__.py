"""Plain bulk writing: asyncpg and aiokafka, with the positions in the same transaction as the rows."""
