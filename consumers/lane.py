"""A claimed lane while it is fetched: which offset comes next, and whether the topic is still the one we know."""

import time
from collections.abc import Sequence
from datetime import datetime

from pipeline.errors import TopicAltered
from schemas.lanes import Claim, last_record
from schemas.records import Judged
from schemas.topics import Feed


class FetchedLane:
    """Lets records of one partition through, once each and in order."""

    def __init__(self, feed: Feed, topic: str, claim: Claim, start: int) -> None:
        standing = claim.standings[feed]
        self.feed = feed
        self.topic = topic
        self.claim = claim
        self.fetched_at = time.monotonic()
        self.newest_at: datetime | None = None  # the append time of the last record that was let through
        self.position = standing.position if standing.position is not None else start
        self._recognise = standing.last if standing.last is not None and standing.last.offset == start else None

    @property
    def lane(self) -> int:
        return self.claim.lane

    def admit(self, records: Sequence[Judged]) -> Sequence[Judged]:
        """The records that are new to the books.

        The client may still deliver what it fetched before our seek: what is before the position is in the books.
        Raises TopicAltered when the last consumed record has another content now.
        """
        if self._recognise is not None:
            self._check_last(records)
        fresh = [record for record in records if record.origin.offset >= self.position]
        if fresh:
            self.position = fresh[-1].origin.offset + 1
            self.newest_at = fresh[-1].origin.appended_at
        return fresh

    def _check_last(self, records: Sequence[Judged]) -> None:
        """Compare the first record that is not from before our seek with the one that was consumed last."""
        expected = self._recognise
        record = next((each for each in records if expected and each.origin.offset >= expected.offset), None)
        if expected is None or record is None:
            return
        found = last_record(record.origin)
        if found != expected:
            raise TopicAltered(
                f"{record.origin.topic}, lane {self.lane}: record {expected.offset} is not the one that was consumed "
                f"(appended {expected.appended_at}, now {found.offset} of {found.appended_at}). It was recreated "
                "and refilled: point the stream at the topic that it consumed, or begin with an empty database"
            )
        self._recognise = None
