"""The Kafka producers of workers and commands."""

from aiokafka import AIOKafkaProducer

from pipeline.abandoning import abandon_producer
from pipeline.broker import broker_options


class Producer(AIOKafkaProducer):  # type: ignore[misc]  # the client has no types
    """A producer. Whoever is done with it lets it `flush`, and then abandons it, however that went."""

    async def abandon(self) -> None:
        """End it, at once and without the broker; its own `stop` waits until everything is delivered."""
        await abandon_producer(self)


def new_producer(bootstrap: str, client_id: str) -> Producer:
    """A producer that loses and doubles nothing: every replica acknowledges, retries are recognised."""
    return _producer(bootstrap, client_id, enable_idempotence=True)


def new_letter_producer(bootstrap: str, client_id: str) -> Producer:
    """A producer for what a broker may refuse: dead letters, which a topic may have no room for.

    Every replica acknowledges, but retries are not recognised: what a broker refuses has used up numbers of the
    client's sequence, and an idempotent client could send nothing more to that partition, ever.
    """
    return _producer(bootstrap, client_id, enable_idempotence=False)


def _producer(bootstrap: str, client_id: str, *, enable_idempotence: bool) -> Producer:
    return Producer(
        **broker_options(bootstrap),
        client_id=client_id,
        acks="all",
        enable_idempotence=enable_idempotence,
        linger_ms=0,
        max_batch_size=512 * 1024,
        # A dead letter is as large as the largest record that a topic takes, and says why on top of it.
        max_request_size=2 * 1024 * 1024,
        request_timeout_ms=20_000,
    )
