"""The watchdog: silent consumers are told from silent brokers, paused lanes and quiet topics."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest

from consumers import watching
from consumers.lane import FetchedLane
from consumers.watching import Watch
from pipeline.errors import BrokerUnavailable, Stalled
from pipeline.metrics import Metrics
from schemas.lanes import Positions, Standing
from schemas.topics import Feed
from tests.support.claims import claim
from tests.support.consumer import TOPIC, HandConsumer, partition
from tests.support.waiting import until

CLAIM = claim(Standing(10))
STALL_SECONDS = 30.0


@dataclass
class Writers:
    """What the writers tell."""

    committed: dict[tuple[int, Feed], int] = field(default_factory=dict)
    full_lanes: set[int] = field(default_factory=set)
    gathered_rows: int = 0
    oldest: dict[tuple[int, Feed], datetime] = field(default_factory=dict)  # of what is held

    @property
    def positions(self) -> Positions:
        return self.committed

    def full(self, lane: int) -> bool:
        return lane in self.full_lanes

    def oldest_waiting(self, lane: int, feed: Feed) -> datetime | None:
        return self.oldest.get((lane, feed))


class Scene:
    """Two lanes that stand at 10, one broker, one watchdog."""

    def __init__(self) -> None:
        self.consumer = HandConsumer(ends={partition(0): 10, partition(1): 10})
        self.writers = Writers()
        self.metrics = Metrics()
        self.lanes = {
            partition(number): FetchedLane(Feed.EVENTS, TOPIC, replace(CLAIM, lane=number), 10) for number in (0, 1)
        }
        self.watch = Watch(self.consumer, self.lanes, self.writers, STALL_SECONDS, self.metrics)

    def silent_for(self, seconds: float) -> None:
        for lane in self.lanes.values():
            lane.fetched_at = time.monotonic() - seconds

    def metric(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(name)

    def lag_seconds(self, lane: int) -> float | None:
        return self.metrics.registry.get_sample_value("folio_lag_seconds", {"lane": str(lane)})


@pytest.fixture
def scene() -> Scene:
    return Scene()


async def test_records_that_wait_and_are_not_delivered_are_a_stall(scene: Scene) -> None:
    scene.consumer.ends[partition(1)] = 12
    scene.silent_for(STALL_SECONDS + 1)
    with pytest.raises(Stalled, match="lane 1: 2 records wait, none delivered for 31 s"):
        await scene.watch._look()
    assert scene.metric("folio_stalls_total") == 1


async def test_the_marker_of_a_transaction_is_no_record_that_waits(scene: Scene) -> None:
    # The topic ends behind the marker, the client's position is there too, and no record will ever be delivered for it.
    scene.consumer.ends[partition(1)] = 11
    scene.consumer.positions[partition(1)] = 11
    scene.silent_for(STALL_SECONDS + 1)
    await scene.watch._look()


async def test_a_short_silence_is_not_a_stall(scene: Scene) -> None:
    scene.consumer.ends[partition(0)] = 12
    scene.silent_for(STALL_SECONDS - 1)
    await scene.watch._look()


async def test_a_quiet_topic_is_not_a_stall_and_its_silence_is_forgotten(scene: Scene) -> None:
    scene.silent_for(10 * STALL_SECONDS)
    await scene.watch._look()
    scene.consumer.ends[partition(0)] = 12
    await scene.watch._look()


async def test_a_lane_whose_writer_is_full_is_not_a_stall(scene: Scene) -> None:
    scene.consumer.ends[partition(0)] = 12
    scene.writers.full_lanes = {0}
    scene.silent_for(STALL_SECONDS + 1)
    await scene.watch._look()


async def test_a_paused_lane_is_not_a_stall(scene: Scene) -> None:
    """Also one that stopped for good: it is paused, and its neighbours go on."""
    scene.consumer.ends[partition(0)] = 12
    scene.consumer.pause(partition(0))
    scene.silent_for(STALL_SECONDS + 1)
    await scene.watch._look()


async def test_a_broker_that_is_silent_for_long_is_asked_by_another_client(scene: Scene) -> None:
    """It may be the client that has died in part."""
    scene.consumer.away = True
    await scene.watch._look()
    scene.watch._answered_at -= STALL_SECONDS - 1
    await scene.watch._look()
    scene.watch._answered_at -= 1
    with pytest.raises(BrokerUnavailable):
        await scene.watch._look()
    assert scene.metric("folio_stalls_total") == 0


async def test_a_broker_that_delivers_is_not_silent(scene: Scene) -> None:
    """How far its topics go it may say behind fifty megabytes of records, again and again."""
    scene.consumer.away = True
    for position in (20, 30, 40):
        scene.lanes[partition(1)].position = position
        scene.watch._answered_at -= STALL_SECONDS + 1
        await scene.watch._look()


async def test_an_answer_ends_the_silence_of_a_broker(scene: Scene) -> None:
    scene.watch._answered_at -= STALL_SECONDS + 1
    await scene.watch._look()
    scene.consumer.away = True
    await scene.watch._look()


async def test_a_silent_broker_is_not_a_stall_then_or_right_afterwards(scene: Scene) -> None:
    scene.consumer.ends[partition(0)] = 12
    scene.silent_for(STALL_SECONDS + 1)
    scene.consumer.away = True
    await scene.watch._look()
    scene.consumer.away = False
    await scene.watch._look()


async def test_a_broker_that_never_answers_holds_the_watchdog_for_a_bounded_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_partitions: object) -> dict[object, int]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(watching, "_PERIOD_SECONDS", 0.02)
    monkeypatch.setattr(scene.consumer, "end_offsets", never)
    await asyncio.wait_for(scene.watch._look(), 5)


async def test_lag_counts_what_is_not_committed(scene: Scene) -> None:
    scene.consumer.ends = {partition(0): 25, partition(1): 14}
    scene.writers.committed = {(0, Feed.EVENTS): 20}
    scene.writers.gathered_rows = 3
    await scene.watch._look()
    assert (scene.metric("folio_lag_records"), scene.metric("folio_gathered_rows")) == (5 + 4, 3)


async def test_freshness_is_the_age_of_the_oldest_record_that_is_held(scene: Scene) -> None:
    scene.consumer.ends = {partition(0): 12, partition(1): 10}
    scene.writers.oldest = {(0, Feed.EVENTS): datetime.now(UTC) - timedelta(seconds=40)}
    await scene.watch._look()
    assert scene.metric("folio_freshness_seconds") == pytest.approx(40, abs=1)
    assert scene.lag_seconds(0) == pytest.approx(40, abs=1)
    assert scene.lag_seconds(1) == 0


async def test_freshness_grows_while_the_broker_says_nothing_and_falls_when_all_is_committed(scene: Scene) -> None:
    scene.writers.oldest = {(0, Feed.EVENTS): datetime.now(UTC) - timedelta(seconds=40)}
    scene.consumer.away = True
    await scene.watch._look()
    assert scene.metric("folio_freshness_seconds") == pytest.approx(40, abs=1)
    scene.writers.oldest, scene.consumer.away = {}, False
    await scene.watch._look()
    assert scene.metric("folio_freshness_seconds") == 0


async def test_a_paused_lane_of_which_nothing_is_held_waits_since_its_last_delivered_record(scene: Scene) -> None:
    """Its neighbours have filled the writer: what waits in the topic is younger than what came last, and no more."""
    scene.watch._waiting[partition(1)].none_before = datetime.now(UTC) - timedelta(hours=1)
    scene.lanes[partition(1)].newest_at = datetime.now(UTC) - timedelta(seconds=25)
    scene.consumer.ends[partition(1)] = 99
    scene.consumer.pause(partition(1))
    await scene.watch._look()
    assert scene.lag_seconds(1) == pytest.approx(25, abs=1)


async def test_lanes_that_were_given_up_are_not_told_of_any_more(scene: Scene) -> None:
    scene.consumer.ends[partition(1)] = 99
    await scene.watch._look()
    assert scene.metric("folio_lag_records") == 89
    scene.metrics.lanes_given_up()
    assert (scene.metric("folio_lag_records"), scene.metric("folio_freshness_seconds")) == (0, 0)
    assert scene.lag_seconds(1) is None


async def test_the_group_hears_of_committed_positions_and_of_each_once(scene: Scene) -> None:
    scene.writers.committed = {(1, Feed.EVENTS): 12}
    await scene.watch.commit_offsets()
    assert scene.consumer.committed == {partition(1): 12}
    scene.consumer.committed.clear()
    await scene.watch.commit_offsets()
    assert scene.consumer.committed == {}
    scene.writers.committed = {(1, Feed.EVENTS): 13}
    await scene.watch.commit_offsets()
    assert scene.consumer.committed == {partition(1): 13}


async def test_offsets_that_the_group_did_not_take_are_told_again(scene: Scene) -> None:
    scene.writers.committed = {(0, Feed.EVENTS): 12}
    scene.consumer.refuses_commits = True
    await scene.watch.commit_offsets()
    scene.consumer.refuses_commits = False
    await scene.watch.commit_offsets()
    assert scene.consumer.committed == {partition(0): 12}


async def test_it_looks_again_and_again_and_ends_with_a_stall(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_PERIOD_SECONDS", 0.01)
    scene.writers.committed = {(0, Feed.EVENTS): 11}
    running = asyncio.ensure_future(scene.watch.run())

    async def told() -> bool:
        return bool(scene.consumer.committed)

    await until(told)
    assert not running.done()
    scene.consumer.ends[partition(0)] = 12
    scene.silent_for(STALL_SECONDS + 1)
    with pytest.raises(Stalled):
        await asyncio.wait_for(running, 5)


async def test_without_lanes_there_is_nothing_to_look_at(scene: Scene) -> None:
    scene.lanes.clear()
    scene.consumer.away = True
    await scene.watch._look()
    await scene.watch.commit_offsets()
