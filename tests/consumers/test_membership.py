"""The group's callbacks wait for the session to have acted, and never longer."""

import asyncio

from aiokafka import TopicPartition

from consumers.membership import Membership

LANES = {TopicPartition("t", 0), TopicPartition("t", 1)}


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def finished(task: "asyncio.Task[None]") -> None:
    await asyncio.wait_for(task, 5)


async def test_an_assignment_is_handed_over_and_holds_fetching_back_until_it_is_taken() -> None:
    member = Membership()
    assigning = asyncio.create_task(member.on_partitions_assigned(LANES))
    assert await asyncio.wait_for(member.next_assignment(), 5) == LANES
    await turns()
    assert not assigning.done()
    member.taken()
    await finished(assigning)


async def test_a_revocation_is_told_and_holds_the_group_back_until_the_lanes_are_released() -> None:
    member = Membership()
    assigning = asyncio.create_task(member.on_partitions_assigned(LANES))
    await member.next_assignment()
    member.taken()
    await finished(assigning)
    assert not member.revoked.is_set()
    revoking = asyncio.create_task(member.on_partitions_revoked(LANES))
    await asyncio.wait_for(member.revoked.wait(), 5)
    await turns()
    assert not revoking.done()
    member.released()
    await finished(revoking)


async def test_a_revocation_with_nothing_held_goes_on_at_once() -> None:
    member = Membership()
    await asyncio.wait_for(member.on_partitions_revoked(set()), 5)
    assert member.revoked.is_set()


async def test_a_session_that_fails_before_it_took_its_lanes_lets_the_group_go_on() -> None:
    member = Membership()
    assigning = asyncio.create_task(member.on_partitions_assigned(LANES))
    await member.next_assignment()
    member.released()
    await finished(assigning)
    await asyncio.wait_for(member.on_partitions_revoked(LANES), 5)


async def test_each_assignment_begins_anew() -> None:
    member = Membership()
    for _ in range(2):
        assigning = asyncio.create_task(member.on_partitions_assigned(LANES))
        await member.next_assignment()
        await turns()
        assert not assigning.done()
        assert not member.revoked.is_set()
        member.taken()
        await finished(assigning)
        revoking = asyncio.create_task(member.on_partitions_revoked(LANES))
        await turns()
        assert not revoking.done()
        member.released()
        await finished(revoking)


async def test_an_empty_assignment_is_an_assignment() -> None:
    """More workers than lanes: the session must know that it holds nothing."""
    member = Membership()
    assigning = asyncio.create_task(member.on_partitions_assigned(set()))
    assert await asyncio.wait_for(member.next_assignment(), 5) == frozenset()
    member.taken()
    await finished(assigning)


async def test_a_closed_membership_holds_nothing_back_any_more() -> None:
    """A member that is leaving may still be assigned lanes: its client could otherwise not even stop."""
    member = Membership()
    assigning = asyncio.create_task(member.on_partitions_assigned(LANES))
    await member.next_assignment()
    member.close()
    await finished(assigning)
    await asyncio.wait_for(member.on_partitions_assigned(LANES), 5)
    await asyncio.wait_for(member.on_partitions_revoked(LANES), 5)
