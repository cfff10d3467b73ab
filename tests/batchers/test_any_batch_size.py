"""However a history is cut into batches, the outcomes and the balances are those of a plain fold."""

import copy
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.content_hash import content_hash
from schemas.records import Accepted, AggregateKey, Judged
from tests.support.events import NOON, Offsets, encoded, event
from tests.support.memory_books import MemoryBooks

INDIA = ZoneInfo("Asia/Kolkata")
Day = tuple[int, int, date]  # org, property, balance date


@dataclass
class PlainFold:
    """Record after record, everything recomputed from the newest versions at the end. Shares nothing with batchers."""

    bodies: dict[AggregateKey, dict[int, bytes]] = field(default_factory=dict)
    newest: dict[AggregateKey, Accepted] = field(default_factory=dict)
    currencies: dict[tuple[int, int], str] = field(default_factory=dict)
    outcomes: Counter[str] = field(default_factory=Counter)
    gaps: int = 0

    def take(self, records: Sequence[Judged]) -> "PlainFold":
        for record in records:
            self.outcomes[self._outcome(record)] += 1
        return self

    def _outcome(self, record: Judged) -> str:
        if not isinstance(record, Accepted):
            return "quarantined"
        event, key = record.event, record.key
        currency = self.currencies.setdefault((event.org_id, event.property_id), event.data.currency or "INR")
        if event.data.currency not in (None, currency):
            return "quarantined"
        versions = self.bodies.setdefault(key, {})
        body = content_hash(event)
        if event.version in versions:
            return "duplicate" if versions[event.version] == body else "conflict"
        newest = max(versions, default=0)
        versions[event.version] = body
        if event.version < newest:
            return "stale"
        self.gaps += event.version != newest + 1
        self.newest[key] = record
        return "applied"

    def movements(self) -> dict[Day, list[int]]:
        """Cash received, bank received, cash spent, bank spent, of every day that has any."""
        days: dict[Day, list[int]] = {}
        for key, record in self.newest.items():
            data = record.event.data
            if data.status != "approved":
                continue
            local = record.event.occurred_at.astimezone(INDIA).date()
            figures = days.setdefault((key[0], record.event.property_id, local), [0, 0, 0, 0])
            figures[2 * (key[1] == "expense") + (data.payment_mode == "bank")] += data.amount_cents
        return {day: figures for day, figures in days.items() if any(figures)}

    def closings(self) -> dict[Day, tuple[int, int]]:
        """Opening and closing of every day that has movements."""
        result: dict[Day, tuple[int, int]] = {}
        carried: dict[tuple[int, int], int] = {}
        for (org, property_, day), figures in sorted(self.movements().items()):
            opening = carried.get((org, property_), 0)
            closing = carried[org, property_] = opening + figures[0] - figures[2]
            result[org, property_, day] = (opening, closing)
        return result


def bodies_of(versions: int, currencies: Sequence[str | None]) -> st.SearchStrategy[dict[str, Any]]:
    """Events that often meet: few transactions, few versions, few days, one or two properties of one or two orgs."""
    return st.builds(
        event,
        aggregate_id=st.integers(1, 3),
        version=st.integers(1, versions),
        kind=st.sampled_from(["revenue", "expense"]),
        status=st.sampled_from(["approved", "approved", "pending", "deleted"]),
        amount=st.sampled_from([100, 100, 250]),
        mode=st.sampled_from(["cash", "cash", "bank"]),
        org=st.sampled_from([1, 1, 1, 2]),
        property_=st.sampled_from([1, 1, 2]),
        at=st.integers(-2, 2).map(lambda hours: NOON + timedelta(hours=9 * hours)),
        currency=st.sampled_from(list(currencies)),
    )


histories = st.lists(
    bodies_of(4, [None, None, "INR", "USD"]).map(encoded) | st.sampled_from([b"junk", b"{}"]), min_size=1, max_size=25
)


@settings(max_examples=300, deadline=None)
@given(histories, st.sets(st.integers(1, 24)))
def test_every_way_to_cut_a_history_gives_the_same_books(values: list[bytes], cuts: set[int]) -> None:
    lane = Offsets()
    records = [lane.record(value) for value in values]
    bounds = [0, *sorted(cut for cut in cuts if cut < len(records)), len(records)]
    in_pieces, at_once, one_by_one = MemoryBooks(), MemoryBooks(), MemoryBooks()
    in_pieces.commit_in([records[start:end] for start, end in itertools.pairwise(bounds)])
    at_once.commit(records)
    one_by_one.commit_in([[record] for record in records])
    plain = PlainFold().take(records)
    for books in (in_pieces, at_once, one_by_one):
        assert {outcome.value: count for outcome, count in books.outcomes.items() if count} == plain.outcomes
        assert books.version_gaps == plain.gaps
        assert books.snapshots == one_by_one.snapshots
        assert books.store.keys() == {(key, version) for key, bodies in plain.bodies.items() for version in bodies}
        assert {key: property_.currency for key, property_ in books.properties.items()} == plain.currencies
        _assert_balances(books, plain)


def _assert_balances(books: MemoryBooks, plain: PlainFold) -> None:
    rows = {(*key, row.balance_date): row for key in books.balances for row in books.days(key)}
    assert {day: list(row.figures) for day, row in rows.items()} == plain.movements()
    assert {day: (row.opening_cents, row.closing_cents) for day, row in rows.items()} == plain.closings()
    # Days that were emptied again are still there and carry on what came before them.
    for days in books.balances.values():
        ordered = [days[day] for day in sorted(days)]
        for before, after in itertools.pairwise(ordered):
            assert after.opening_cents == before.closing_cents


@settings(max_examples=100, deadline=None)
@given(histories)
def test_delivering_everything_again_changes_nothing(values: list[bytes]) -> None:
    lane, books = Offsets(), MemoryBooks()
    books.commit([lane.record(value) for value in values])
    before = copy.deepcopy((books.balances, books.snapshots))
    decisions = books.commit([lane.record(value) for value in values])
    assert not decisions.stored
    assert not decisions.changes
    assert (books.balances, books.snapshots) == before
