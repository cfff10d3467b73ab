"""The Kafka consumer, with none of its dangerous defaults left in place."""

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from pipeline.abandoning import abandon_consumer
from pipeline.broker import broker_options
from pipeline.record_batches import keep_every_record_readable
from pipeline.settings import KafkaSettings

# The broker answers when it has so much, or after so long. Were it to answer at the first record, a trickle would cost
# a request, an answer and a batch of one record each, thousands of times a second, at both ends.
_FETCH_BYTES_MIN = 64 * 1024
_FETCH_WAIT_MS = 20


class Consumer(AIOKafkaConsumer):  # type: ignore[misc]  # the client has no types
    """A member of a group. Whoever is done with it lets it `leave`, and then abandons it, however that went."""

    async def leave(self) -> None:
        """Leave the group, in order: it gives the lanes to others at once. Waits for the broker."""
        if self._coordinator is not None:
            await self._coordinator.close()

    async def abandon(self) -> None:
        """End it, at once and without the broker."""
        await abandon_consumer(self)


def new_consumer(bootstrap: str, settings: KafkaSettings, client_id: str) -> Consumer:
    """A consumer that never commits by itself, and never picks a position by itself: positions are in the database."""
    keep_every_record_readable()
    return Consumer(
        **broker_options(bootstrap),
        client_id=client_id,
        group_id=settings.group,
        # A static member does not leave when it stops: its lanes wait for it, as long as the session timeout.
        group_instance_id=client_id if settings.static_membership else None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        partition_assignment_strategy=(RangePartitionAssignor,),
        session_timeout_ms=round(settings.session_timeout_seconds * 1000),
        heartbeat_interval_ms=round(settings.session_timeout_seconds * 1000 / 6),
        # Our own watchdog judges progress: while the database is away, a paused member that polls nothing is healthy.
        max_poll_interval_ms=24 * 60 * 60 * 1000,
        rebalance_timeout_ms=60_000,
        request_timeout_ms=round(settings.request_timeout_seconds * 1000),
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        fetch_min_bytes=_FETCH_BYTES_MIN,
        # One fetch is in flight per broker: it must be able to carry a large batch of every partition.
        max_partition_fetch_bytes=settings.fetch_partition_bytes_max,
        fetch_max_bytes=52_428_800,
        metadata_max_age_ms=30_000,
        check_crcs=True,
    )
