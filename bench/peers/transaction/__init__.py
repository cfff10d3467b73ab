"""One transaction an event, as services are first written: asyncpg and aiokafka, many tasks at once."""
