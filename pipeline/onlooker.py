"""A consumer that only looks: in no group, committing nothing, choosing no position; it sees what workers see."""

from typing import Any

from aiokafka import AIOKafkaConsumer

from pipeline.broker import broker_options
from pipeline.record_batches import keep_every_record_readable


def new_onlooker(bootstrap: str, client_id: str, **bounds: Any) -> AIOKafkaConsumer:
    """`bounds` are the client's own, such as how many bytes a fetch may bring."""
    keep_every_record_readable()
    return AIOKafkaConsumer(
        **broker_options(bootstrap),
        client_id=client_id,
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed",
        **bounds,
    )
