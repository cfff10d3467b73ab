"""What a subscriber holds: every breach of the contract is seen, and every difference from the books is counted."""

from collections import Counter
from datetime import date
from typing import Any

import msgspec

from bench.serve.holding import Holder, breaches, decode, differences

DAY = date(2026, 11, 29)


def told(kind: str, **members: Any) -> bytes:
    return msgspec.json.encode({"type": kind, "id": "a", **members})


def balance(version: int, property_id: int = 101, closing: int = 0) -> dict[str, Any]:
    figures = {"version": version, "closing_balance_cents": closing or version * 10}
    return {"property_id": property_id, "balance_date": DAY.isoformat(), **figures}


def hears(holder: Holder, counts: Counter[str], *messages: bytes) -> list[int | None]:
    """The version that each made it take, if any."""
    taken = [holder.hear(decode(each), counts) for each in messages]
    return [each.version if each is not None else None for each in taken]


def snapshot(*versions: int, last: bool = True) -> bytes:
    place = {"cursor": "c1"} if last else {}
    balances = [balance(version, 100 + n) for n, version in enumerate(versions, 1)]
    return told("snapshot", epoch="e", balances=balances, last=last, **place)


def update(version: int, previous: int | None, property_id: int = 101) -> bytes:
    return told("update", cursor=f"c{version}", previous_version=previous, balance=balance(version, property_id))


def test_updates_go_on_from_the_snapshot() -> None:
    holder, counts = Holder(), Counter[str]()
    assert hears(holder, counts, told("subscribed"), snapshot(3), update(4, 3), update(7, 4)) == [None, None, 4, 7]
    assert (holder.held, holder.cursor, breaches(counts)) == ({(101, DAY.toordinal()): (7, 70)}, "c7", 0)


def test_what_is_told_again_changes_nothing_and_is_no_breach() -> None:
    holder, counts = Holder(), Counter[str]()
    assert hears(holder, counts, snapshot(3), update(3, 2), update(2, None)) == [None, None, None]
    assert (holder.held[101, DAY.toordinal()], counts["told again"], breaches(counts)) == ((3, 30), 2, 0)


def test_a_gap_and_an_update_before_a_snapshot_are_breaches() -> None:
    counts = Counter[str]()
    hears(Holder(), counts, snapshot(3), update(6, 5))
    assert breaches(counts) == 1
    hears(Holder(), counts, update(1, None))
    assert breaches(counts) == 2


def test_pages_of_a_snapshot_replace_what_was_held_together() -> None:
    holder, counts = Holder(), Counter[str]()
    hears(holder, counts, snapshot(9, 9, 9), told("resync", reason="epoch_changed"), snapshot(1, last=False))
    waits = not holder.complete
    assert waits
    hears(holder, counts, told("snapshot", balances=[balance(2, 102)], last=True, cursor="c2"))
    assert holder.complete
    assert {key[0]: state[0] for key, state in holder.held.items()} == {101: 1, 102: 2}
    assert counts["resync epoch_changed"] == 1


def test_who_comes_back_with_a_cursor_lacks_nothing() -> None:
    holder, counts = Holder(), Counter[str]()
    holder.begin()
    waits = not holder.complete
    assert waits
    hears(holder, counts, snapshot(3))
    holder.begin()
    assert holder.complete
    assert hears(holder, counts, update(4, None)) == [4]
    assert breaches(counts) == 0


def test_each_day_that_is_held_otherwise_counts() -> None:
    books = {1: {(101, 5): (2, 20), (102, 5): (1, 10)}}
    assert differences([(1, dict(books[1]))], books) == 0
    assert differences([(1, {(101, 5): (2, 20)})], books) == 1, "one is lacking"
    assert differences([(1, books[1] | {(101, 5): (2, 21)})], books) == 1, "another figure"
    assert differences([(1, books[1] | {(103, 5): (1, 1)})], books) == 1, "one that is not there"
    assert differences([(2, {(201, 5): (1, 1)})], books) == 1
