"""From the client's records to judged records, in order."""

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from aiokafka import ConsumerRecord

from pipeline.errors import TopicMismatch
from schemas.codec import Rules, judge, judge_correction
from schemas.records import Judged, Origin
from schemas.topics import Feed

_LOG_APPEND_TIME = 1
# A broker that stamps records itself never writes a time beyond the calendar; a producer's own can be anything.
_NO_INSTANT = datetime(1970, 1, 1, tzinfo=UTC)


def origin_of(record: "ConsumerRecord[bytes, bytes]") -> Origin:
    """Where the record stands. Kafka counts its timestamps in milliseconds.

    Raises TopicMismatch when the producer has stamped it: events are judged by the broker's time of appending.
    """
    if record.timestamp_type != _LOG_APPEND_TIME:
        raise TopicMismatch(
            f"{record.topic}, lane {record.partition}: record {record.offset} bears its producer's time. Set "
            "message.timestamp.type=LogAppendTime on the topic (`folio topics check` tells what else differs); a "
            "record that is there already must be sent again, and the lane be moved behind it"
        )
    return Origin(
        topic=record.topic,
        lane=record.partition,
        offset=record.offset,
        appended_at=_instant(record.timestamp),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
    )


@lru_cache(maxsize=1024)  # a broker stamps a whole batch of records at once
def _instant(milliseconds: int) -> datetime:
    try:
        return datetime.fromtimestamp(milliseconds / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return _NO_INSTANT


_JUDGE: Final = {Feed.EVENTS: judge, Feed.CORRECTIONS: judge_correction}


def decode(records: Iterable["ConsumerRecord[bytes, bytes]"], feed: Feed, rules: Rules) -> list[Judged]:
    """Judge every record of a fetch; what breaks a rule is a value among the others."""
    judge_one = _JUDGE[feed]
    return [judge_one(origin_of(record), rules) for record in records]
