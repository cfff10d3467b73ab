"""FastStream with a batch subscriber, and asyncpg behind it."""
