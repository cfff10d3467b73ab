"""One effect carried through the outbox: in order, at least once, bounded in memory, and nothing left behind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

import pytest
import stamina
from hypothesis import given, settings
from hypothesis import strategies as st
from uuid_utils.compat import uuid7

from batchers.drain import Drain
from batchers.outbox import OutboxRow
from pipeline.errors import CacheUnavailable, DatabaseUnavailable, TopicMismatch


@pytest.fixture(autouse=True)
def _retry_at_once() -> Iterator[None]:
    with stamina.set_testing(True, attempts=50, cap=True):
        yield


@dataclass
class World:
    """A table of outbox rows, an effect that can be held or made to fail, and what the effect has done."""

    table: dict[int, list[OutboxRow]] = field(default_factory=dict)
    done: list[tuple[int, int]] = field(default_factory=list)
    marks: dict[int, int] = field(default_factory=lambda: {0: 0, 1: 0})
    failures: int = 0
    reload_failures: int = 0
    reloads: list[tuple[int, int]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    reload_gate: asyncio.Event = field(default_factory=asyncio.Event)
    gated_reload: int = 1  # from which read of the table on the gate counts
    reloading: asyncio.Event = field(default_factory=asyncio.Event)  # a read stands at the shut gate

    def __post_init__(self) -> None:
        self.gate.set()
        self.reload_gate.set()

    def commit(self, *lanes: int) -> list[OutboxRow]:
        """A batch: the next row of each lane, in the table, and as the writer has it in memory."""
        rows = []
        batch_id = uuid7()
        for lane in lanes:
            of_lane = self.table.setdefault(lane, [])
            rows.append(OutboxRow(lane, len(of_lane) + 1, (), batch_id))
            of_lane.append(rows[-1])
        return rows

    async def effect(self, rows: Sequence[OutboxRow]) -> None:
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise CacheUnavailable("away")
        self.done += [(row.lane, row.seq) for row in rows]

    async def reload(self, lane: int, after: int, _bytes_max: int) -> list[OutboxRow]:
        if self.reload_failures:
            self.reload_failures -= 1
            raise DatabaseUnavailable("away")
        found = [row for row in self.table.get(lane, []) if row.seq > after][:4]
        self.reloads.append((lane, after))
        if len(self.reloads) >= self.gated_reload and not self.reload_gate.is_set():
            self.reloading.set()
            await self.reload_gate.wait()  # what was found grows old meanwhile
        return found

    def drain(self, waiting_max: int = 2) -> Drain:
        heads = {lane: len(self.table.get(lane, [])) for lane in self.marks}
        return Drain(
            "effect",
            self.effect,
            self.reload,
            self.marks,
            heads,
            waiting_max=waiting_max,
            pause_max_seconds=0.001,
        )

    def of_lane(self, lane: int) -> list[int]:
        return [seq for of, seq in self.done if of == lane]


@pytest.fixture
def world() -> World:
    return World()


@contextlib.asynccontextmanager
async def running(drain: Drain) -> AsyncIterator[None]:
    task = asyncio.create_task(drain.run())
    try:
        async with asyncio.timeout(10):
            yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_a_drain_ends_though_a_client_loses_its_cancellation(world: World) -> None:
    """As asyncio.wait_for of Python 3.11 does when what it waits for is done at that moment: `run` waited for ever."""
    answered = asyncio.Event()

    async def effect(_rows: Sequence[OutboxRow]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            answered.set()
            await asyncio.sleep(60)

    heads = dict.fromkeys(world.marks, 0)
    drain = Drain("effect", effect, world.reload, world.marks, heads, waiting_max=5, pause_max_seconds=0.001)
    task = asyncio.create_task(drain.run())
    drain.offer(world.commit(0))
    drain.offer(world.commit(1))
    await answered.wait()
    task.cancel()
    _, running_still = await asyncio.wait([task], timeout=1)
    assert not running_still
    assert world.marks == {0: 0, 1: 0}  # the next owner's, all of it: an effect may be repeated


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_rows_have_their_effect_in_order_and_the_marks_follow(world: World) -> None:
    drain = world.drain(waiting_max=10)
    async with running(drain):
        for _ in range(3):
            drain.offer(world.commit(0, 1))
        await drain.wait_until_done()
    assert world.done == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3)]
    assert world.marks == {0: 3, 1: 3}
    assert not world.reloads


async def test_a_mark_moves_only_after_the_effect(world: World) -> None:
    drain = world.drain()
    world.gate.clear()
    async with running(drain):
        drain.offer(world.commit(0))
        await turns()
        assert (world.done, world.marks[0]) == ([], 0)
        world.gate.set()
        await drain.wait_until_done()
        assert world.marks[0] == 1


# --- rows of somebody else: a rebuild appends to a lane of ours, and publishes nothing itself ---


async def test_a_row_that_nobody_offered_has_its_effect_before_the_next(world: World) -> None:
    drain = world.drain(waiting_max=10)
    async with running(drain):
        drain.offer(world.commit(0, 1))
        world.commit(0)
        drain.offer(world.commit(0, 1))
        await drain.wait_until_done()
    assert (world.of_lane(0), world.of_lane(1)) == ([1, 2, 3], [1, 2])
    assert world.marks == {0: 3, 1: 2}


async def test_a_row_that_nobody_offered_waits_for_those_before_it_in_memory(world: World) -> None:
    drain = world.drain(waiting_max=10)
    world.gate.clear()
    async with running(drain):
        drain.offer(world.commit(0))
        await turns()
        world.commit(0)
        drain.offer(world.commit(0))
        await turns()
        assert world.done == []
        world.gate.set()
        await drain.wait_until_done()
    assert world.of_lane(0) == [1, 2, 3]


async def test_a_row_of_a_quiet_lane_is_told_when_it_is_seen(world: World) -> None:
    drain = world.drain()
    async with running(drain):
        world.commit(0)
        await turns()
        assert world.done == []
        drain.see(0, 1)
        await drain.wait_until_done()
    assert world.of_lane(0) == [1]


async def test_a_head_that_is_known_already_makes_nobody_read(world: World) -> None:
    drain = world.drain()
    async with running(drain):
        drain.offer(world.commit(0))
        await drain.wait_until_done()
        drain.see(0, 1)
        drain.see(0, 0)  # read before that
        await turns()
    assert not world.reloads


async def test_a_row_of_ours_that_was_seen_before_it_was_offered_has_its_effect_once(world: World) -> None:
    drain = world.drain()
    async with running(drain):
        rows = world.commit(0)
        drain.see(0, 1)
        drain.offer(rows)
        await drain.wait_until_done()
        drain.offer(world.commit(0))
        await drain.wait_until_done()
    assert world.done == [(0, 1), (0, 2)]


async def test_a_batch_without_updates_moves_nothing(world: World) -> None:
    drain = world.drain()
    async with running(drain):
        drain.offer([])
        await drain.wait_until_done()
    assert (world.done, world.reloads, drain.depth) == ([], [], 0)


async def test_what_the_predecessor_left_is_read_back_before_anything_new(world: World) -> None:
    for _ in range(20):
        world.commit(1)
    world.marks[1] = 3
    drain = world.drain()
    async with running(drain):
        drain.offer(world.commit(1))
        await drain.wait_until_done()
    assert world.of_lane(1) == list(range(4, 22))
    assert world.marks == {0: 0, 1: 21}
    assert world.reloads[0] == (1, 3)  # from the mark on, bounded, and again until there is nothing more
    assert len(world.reloads) > 2


async def test_a_lane_that_stands_at_its_head_is_not_read_back(world: World) -> None:
    world.commit(0)
    world.marks[0] = 1
    drain = world.drain()
    async with running(drain):
        await turns()
    assert not world.reloads


async def test_without_room_rows_stay_in_the_table_and_come_back_from_there(world: World) -> None:
    drain = world.drain(waiting_max=2)
    world.gate.clear()
    async with running(drain):
        for _ in range(6):
            drain.offer(world.commit(0))
            await turns(3)
        assert drain.depth == 2  # memory stays bounded
        world.gate.set()
        await drain.wait_until_done()
    assert world.of_lane(0) == [1, 2, 3, 4, 5, 6]


async def test_a_lane_behind_does_not_hold_another_lane_back_for_ever(world: World) -> None:
    world.commit(0)
    drain = world.drain()
    async with running(drain):
        drain.offer(world.commit(0, 1))
        await drain.wait_until_done()
    assert (world.of_lane(0), world.of_lane(1)) == ([1, 2], [1])


async def test_rows_left_behind_while_the_table_is_read_are_not_lost(world: World) -> None:
    """The race: the table was read before the row was there, and the row was not taken into memory either."""
    world.commit(0)
    drain = world.drain()
    world.gated_reload = 2
    world.reload_gate.clear()
    async with running(drain):
        await world.reloading.wait()  # the second read has found nothing ...
        assert world.reloads == [(0, 0), (0, 1)]
        drain.offer(world.commit(0))  # ... and before it returns, there is something
        world.reload_gate.set()
        await drain.wait_until_done()
    assert world.of_lane(0) == [1, 2]
    assert world.marks[0] == 2


async def test_a_row_that_is_both_in_memory_and_read_back_has_its_effect_once(world: World) -> None:
    drain = world.drain()
    world.commit(0)
    (row,) = world.table[0]
    world.marks[0] = 1  # done meanwhile
    async with running(drain):
        drain.offer([row])
        await drain.wait_until_done()
    assert world.done == []


async def test_a_failing_effect_is_tried_again_with_the_same_rows(world: World) -> None:
    drain = world.drain(waiting_max=5)
    world.failures = 4
    async with running(drain):
        drain.offer(world.commit(0))
        drain.offer(world.commit(0))
        await drain.wait_until_done()
    assert world.done == [(0, 1), (0, 2)]


async def test_a_failing_read_of_the_table_is_tried_again(world: World) -> None:
    world.commit(0)
    world.reload_failures = 3
    drain = world.drain()
    async with running(drain):
        await drain.wait_until_done()
    assert world.done == [(0, 1)]


async def test_what_an_operator_must_mend_ends_the_drain(world: World) -> None:
    drain = world.drain()

    async def broken(_rows: Sequence[OutboxRow]) -> None:
        raise TopicMismatch("no topic")

    drain._effect = broken
    drain.offer(world.commit(0))
    with pytest.raises(TopicMismatch):
        await asyncio.wait_for(drain.run(), 5)
    assert world.marks[0] == 0


async def test_a_writer_waits_for_room_and_no_longer(world: World) -> None:
    drain = world.drain(waiting_max=1)
    world.gate.clear()
    async with running(drain):
        await drain.wait_for_room()
        drain.offer(world.commit(0))
        waiting = asyncio.ensure_future(drain.wait_for_room())
        await turns()
        assert not waiting.done()
        world.gate.set()
        await waiting
    assert drain.has_room


async def test_done_means_that_also_what_is_only_in_the_table_had_its_effect(world: World) -> None:
    world.commit(0)
    drain = world.drain()
    world.reload_gate.clear()
    async with running(drain):
        waiting = asyncio.ensure_future(drain.wait_until_done())
        await turns()
        assert not waiting.done()
        world.reload_gate.set()
        await waiting
    assert world.done == [(0, 1)]


STEPS = [
    *("commit 0", "commit 1", "commit both", "turn", "turn", "fail", "foreign 0", "see 0"),
    *("hold effect", "free effect", "hold reload", "free reload"),
]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.sampled_from(STEPS), max_size=40),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_whatever_happens_every_row_has_its_effect_once_and_in_order(
    steps: list[str], waiting_max: int, left_by_predecessor: int
) -> None:
    async def run() -> World:
        world = World()
        for _ in range(left_by_predecessor):
            world.commit(0)
        drain = world.drain(waiting_max)
        async with running(drain):
            for step in steps:
                if step.startswith("commit"):
                    drain.offer(world.commit(*{"0": [0], "1": [1], "both": [0, 1]}[step.split()[1]]))
                elif step == "foreign 0":
                    world.commit(0)
                elif step == "see 0":
                    drain.see(0, len(world.table.get(0, [])))
                elif step == "fail":
                    world.failures = min(world.failures + 1, 20)
                elif step == "turn":
                    await turns(3)
                else:
                    what, gate = step.split()
                    event = world.gate if gate == "effect" else world.reload_gate
                    (event.set if what == "free" else event.clear)()
                assert drain.depth <= waiting_max
            world.gate.set()
            world.reload_gate.set()
            drain.see(0, len(world.table.get(0, [])))  # as the session looks again and again
            await drain.wait_until_done()
        return world

    world = asyncio.run(run())
    for lane in (0, 1):
        assert world.of_lane(lane) == [row.seq for row in world.table.get(lane, [])]
    assert world.marks == {lane: len(world.table.get(lane, [])) for lane in (0, 1)}
