"""The Kafka producer of workers and commands."""

from aiokafka import AIOKafkaProducer


def new_producer(bootstrap: str, client_id: str) -> AIOKafkaProducer:
    """A producer that loses and doubles nothing: every replica acknowledges, retries are recognised."""
    return AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        client_id=client_id,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=512 * 1024,
        # A dead letter is as large as the largest record that a topic takes, and says why on top of it.
        max_request_size=2 * 1024 * 1024,
        request_timeout_ms=20_000,
    )
