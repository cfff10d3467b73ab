"""Produced, stored, delivered: whether they agree, by values alone. What is not known agrees with nothing."""

from collections.abc import Mapping

from pipeline.api.overview.books import LanesRead
from pipeline.api.overview.document import Strip
from pipeline.api.overview.topics import Feeds, TopicsRead
from pipeline.status import OUTCOMES


def strip(lanes: LanesRead | None, topics: TopicsRead | None, heard: Mapping[int, int] | None) -> Strip:
    """`heard`: the offset of the topic of updates that this process reads next, by partition; None without a feed."""
    feeds = topics.feeds if topics is not None else None
    stands = _stands(feeds) if feeds is not None else None
    counted = _counted(lanes, stands) if lanes is not None and stands is not None else None
    published = topics.updates if topics is not None else None
    return Strip(
        produced=topics.produced if topics is not None else None,
        stored=sum(stands.values()) if stands is not None else None,
        counted=sum(counted.values()) if counted is not None else None,
        published=sum(published.values()) if published is not None else None,
        delivered=sum(heard.values()) if heard is not None else None,
        stored_apart=_waiting(feeds) if feeds is not None else None,
        counted_apart=_apart(stands, counted),
        delivered_apart=_apart(published, heard),
    )


def _stands(feeds: Feeds) -> dict[int, int]:
    """Lane to its two positions together."""
    return {lane: sum(each.position for each in of.values()) for lane, of in feeds.items()}


def _counted(lanes: LanesRead, stands: Mapping[int, int]) -> dict[int, int]:
    """Lane to where it would stand by its counters: where it began, and one further for each outcome.

    A lane that nobody has claimed has counted nothing: it stands where it does.
    """
    return {
        lane: lanes.began[lane] + sum(lanes.rows[lane][name] for name in OUTCOMES) if lane in lanes.began else stand
        for lane, stand in stands.items()
    }


def _waiting(feeds: Feeds) -> int:
    """Not the lag: a position behind the end, of a topic that was made anew, is as far apart as one before it."""
    return sum(abs(each.end - each.passed_over - each.position) for of in feeds.values() for each in of.values())


def _apart(one: Mapping[int, int] | None, other: Mapping[int, int] | None) -> int | None:
    """The sum of the differences; None where one is not known, or they are not of the same lanes."""
    if one is None or other is None or set(one) != set(other):
        return None
    return sum(abs(one[each] - other[each]) for each in one)
