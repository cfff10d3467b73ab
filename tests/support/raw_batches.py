"""Record batches made by hand: what clients in other languages send, and ours would refuse to.

Layout: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Callable, Sequence

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.codec import gzip_encode, lz4_encode, snappy_encode, zstd_encode
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c

from tests.support.waiting import until

RawHeader = tuple[bytes, bytes | None]
RawMessage = tuple[bytes | None, bytes | None, Sequence[RawHeader]]  # key, value, headers

_NOT_LEADER = 6  # says a broker of a topic that was made a moment ago

COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "none": bytes,
    "gzip": gzip_encode,
    "snappy": snappy_encode,
    "lz4": lz4_encode,
    "zstd": zstd_encode,
}


def record_batch(
    messages: Sequence[RawMessage], *, codec: str = "none", first_ms: int = 1_000, first_offset: int = 0
) -> bytes:
    """A batch in format 2, of no producer; its records are created a millisecond apart."""
    body = COMPRESS[codec](b"".join(_record(place, message) for place, message in enumerate(messages)))
    last = len(messages) - 1
    attributes = list(COMPRESS).index(codec)
    checked = struct.pack(">hiqqqhii", attributes, last, first_ms, first_ms + last, -1, -1, -1, last + 1) + body
    counted = struct.pack(">ibI", -1, 2, calc_crc32c(checked)) + checked
    return struct.pack(">qi", first_offset, len(counted)) + counted


def _record(place: int, message: RawMessage) -> bytes:
    key, value, headers = message
    fields = b"\x00" + _varint(place) + _varint(place) + _blob(key) + _blob(value) + _varint(len(headers))
    fields += b"".join(_blob(name) + _blob(content) for name, content in headers)
    return _varint(len(fields)) + fields


def _blob(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content


def _varint(number: int) -> bytes:
    zigzag = number << 1 if number >= 0 else -(number << 1) - 1
    out = bytearray()
    while zigzag > 0x7F:
        out.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    out.append(zigzag)
    return bytes(out)


async def send_batch(bootstrap: str, topic: str, partition: int, batch: bytes) -> None:
    """Append a batch as it is to a partition, and wait until every replica has it."""
    client = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        await client.set_topics([topic])
        leader = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        request = ProduceRequest(None, -1, 10_000, [(topic, [(partition, batch)])])

        async def taken() -> bool:
            ((_, ((_, code, *_),)),) = (await client.send(leader, request)).topics
            assert code in (0, _NOT_LEADER), f"the broker refused the batch: error {code}"
            return bool(code == 0)

        await until(taken)
    finally:
        await client.close()
