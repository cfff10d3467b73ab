"""Where an organisation is at home: the partition that Kafka's own default partitioner gives its key."""

from functools import lru_cache

from aiokafka.partitioner import murmur2


# A hash in pure Python costs microseconds, and busy organisations come again and again. 2^17 entries: about 15 MB.
@lru_cache(maxsize=1 << 17)
def home_lane(org_id: int, lanes: int) -> int:
    """The lane of the organisation's decimal key, as the Java client's partitioner computes it."""
    return int(murmur2(b"%d" % org_id) & 0x7FFFFFFF) % lanes
