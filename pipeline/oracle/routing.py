"""Where an organisation is at home: the partition that Kafka's default partitioner gives to its key.

The partitioner: https://kafka.apache.org/documentation/#producerconfigs_partitioner.class, for records with a key.
"""

from functools import lru_cache

from aiokafka.partitioner import murmur2


# The hash is pure Python and takes microseconds; 2^16 organisations take about 10 MB.
@lru_cache(maxsize=1 << 16)
def home_lane(org_id: int, lane_count: int) -> int:
    """The lane of the organisation's key, which is its number in decimal digits."""
    positive = int(murmur2(str(org_id).encode("ascii"))) & 0x7FFFFFFF  # the sign is dropped, not turned
    return positive % lane_count
