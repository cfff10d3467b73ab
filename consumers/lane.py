"""A claimed lane while it is fetched: which offset comes next, and whether the topic is still the one we know."""

import time
from collections.abc import Sequence

from pipeline.errors import TopicAltered
from schemas.lanes import Claim, last_record
from schemas.records import Judged


class FetchedLane:
    """Lets records of one partition through, once each and in order."""

    def __init__(self, topic: str, claim: Claim, start: int) -> None:
        self.topic = topic
        self.claim = claim
        self.fetched_at = time.monotonic()
        self.position = claim.position if claim.position is not None else start
        self._recognise = claim.last if claim.last is not None and claim.last.offset == start else None

    @property
    def lane(self) -> int:
        return self.claim.lane

    def admit(self, records: Sequence[Judged]) -> Sequence[Judged]:
        """The records that are new to the books.

        The client may still deliver what it fetched before our seek: what is before the position is in the books.
        Raises TopicAltered when the last consumed record has another content now.
        """
        if self._recognise is not None and records:
            self._check_last(records[0])
        fresh = [record for record in records if record.origin.offset >= self.position]
        if fresh:
            self.position = fresh[-1].origin.offset + 1
        return fresh

    def _check_last(self, record: Judged) -> None:
        expected, found = self._recognise, last_record(record.origin)
        if expected is None or found.offset != expected.offset:
            return
        if found != expected:
            raise TopicAltered(
                f"{record.origin.topic}, lane {self.lane}: record {expected.offset} is not the one that was consumed "
                f"(appended {expected.appended_at}, now {found.appended_at}). The topic was recreated and refilled: "
                "point the stream at the topic that it consumed, or begin with an empty database"
            )
        self._recognise = None
