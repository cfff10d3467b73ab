"""Every interleaving that the lanes allow: hypothesis writes histories, and the plain functions keep their books.

Two lanes, each with its two feeds; one organisation with two properties. A history appends records to the feeds, and
cuts batches off their fronts wherever it likes. What a batch holds is taken at once by `decide`, `coalesce`, `correct`
and `carry`, and record after record by books that are kept by hand (`NaiveBooks`). Afterwards both must say the same:
balances with their versions, adjustments, outcomes, what is stored.
"""

import itertools
import os
from collections import Counter
from copy import deepcopy
from dataclasses import replace
from datetime import date, timedelta
from typing import Any, Final

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from batchers.coalesce import Figures
from batchers.correct import day_of
from batchers.decide import Decisions
from schemas.records import Judged
from schemas.topics import Feed
from tests.support.events import NOON, TODAY, Offsets, correction, encoded, event
from tests.support.memory_books import DEFAULTS, MemoryBooks
from tests.support.naive_books import Body, Cents, Day, DayRow, NaiveBooks

# A campaign of its own: FOLIO_TEST_HISTORIES=10000, which takes a minute.
HISTORIES: Final = int(os.environ.get("FOLIO_TEST_HISTORIES", "1000"))
STEPS: Final = 12
LANES: Final = range(2)
# Of the second property, which was loaded; the first registers itself with nothing.
OPENING_CASH: Final = {2: 1000}

# Few values, so that records meet; one draw for several of them, since hypothesis takes its time over each.
Place = tuple[int, int, int]  # lane, property, and the day counted from today
Pick = tuple[int, int]  # lane, and which one, counted from the newest
Sent = tuple[Judged, Body | None]  # a record, and what the producer wrote; None where that was junk
places = st.sampled_from(list(itertools.product(LANES, (1, 2), (0, -1, -2, -3))))
picks = st.sampled_from(list(itertools.product(LANES, range(4))))
flows = st.sampled_from(
    list(itertools.product(("revenue", "expense"), ("cash", "bank"), ("approved", "pending"), (10, 25)))
)
EDITS: Final[list[dict[str, Any]]] = [
    *({"amount_cents": amount} for amount in (10, 25, 60)),
    *({"payment_mode": mode} for mode in ("cash", "bank")),
]
repetitions = st.sampled_from([0, 1])  # the same again, or another content
counts = st.sampled_from([40, 0, -5, 1000, None])
restatements = st.sampled_from([(50, 0, 0, 0), (0, 0, 0, 0), (10, 20, 30, 40), (10, 0, 0, 0), (0, 7, 60, 0)])
# How many records of each feed of each lane a batch takes.
cuts = st.sampled_from(list(itertools.product((0, 1, 3), repeat=len(LANES) * len(Feed)))[1:])


class Feeds:
    """What was sent and is not yet consumed: of each feed of each lane, in the order of its offsets."""

    def __init__(self) -> None:
        # In the order in which a batch takes them: the events of every lane, then the corrections.
        self._places = {(feed, lane): Offsets(lane, feed=feed) for feed in Feed for lane in LANES}
        self._waiting: dict[tuple[Feed, int], list[Sent]] = {key: [] for key in self._places}

    def send(self, feed: Feed, lane: int, body: Body | None) -> None:
        value = b"junk" if body is None else encoded(body)
        self._waiting[feed, lane].append((self._places[feed, lane].record(value), body))

    def take(self, shares: tuple[int, ...]) -> list[Sent]:
        """Cut a batch off the fronts: so many of each."""
        batch = []
        for waiting, share in zip(self._waiting.values(), shares, strict=True):
            batch += waiting[:share]
            del waiting[:share]
        return batch

    def take_all(self) -> list[Sent]:
        return self.take(tuple(map(len, self._waiting.values())))


class Histories(RuleBasedStateMachine):
    """The rules append records and cut batches."""

    def __init__(self) -> None:
        super().__init__()
        self.feeds = Feeds()
        self.newest: dict[tuple[str, int], Body] = {}  # of each transaction, the highest version that was sent
        self.events: list[Body] = []
        self.corrections: list[Body] = []
        self.held_back: list[Body] = []
        self.naive, self.books = NaiveBooks(OPENING_CASH), MemoryBooks()
        for number, cash in OPENING_CASH.items():
            self.books.properties[1, number] = replace(DEFAULTS.register(None), opening_cash_cents=cash)
        self.outcomes: Counter[tuple[int, str]] = Counter()
        self.gaps: Counter[int] = Counter()
        self.sound = True
        # Something to change and to repeat from the start: a precondition of each rule would be asked at each draw.
        self._send_event(0, event(1))
        self._send_correction((0, 1, 0), declared=40)

    # --- events ---

    @rule(place=places, flow=flows)
    def create(self, place: Place, flow: tuple[str, str, str, int]) -> None:
        lane, property_, days = place
        kind, mode, status, amount = flow
        # Revenue 1 and expense 1 are two transactions.
        number = 1 + sum(known == kind for known, _ in self.newest)
        at = NOON + timedelta(days=days)
        body = event(number, kind=kind, mode=mode, status=status, amount=amount, property_=property_, at=at)
        self._send_event(lane, body)

    @rule(pick=picks, change=st.sampled_from(EDITS))
    def edit(self, pick: Pick, change: dict[str, Any]) -> None:
        self._send_event(pick[0], self._changed(pick, **change))

    @rule(pick=picks, place=places)
    def move(self, pick: Pick, place: Place) -> None:
        """To another day, perhaps of the other property."""
        at = NOON + timedelta(days=place[2])
        moved = {"property_id": place[1], "occurred_at": at.isoformat()}
        self._send_event(pick[0], self._changed(pick) | moved)

    @rule(pick=picks, status=st.sampled_from(["approved", "rejected", "deleted"]))
    def approve_reject_delete_revive(self, pick: Pick, status: str) -> None:
        """What was deleted is revived by any other status."""
        self._send_event(pick[0], self._changed(pick, status, status=status))

    @rule(pick=picks, change=st.sampled_from(EDITS))
    def overtake(self, pick: Pick, change: dict[str, Any]) -> None:
        """A version is held back; `arrive_late` may send it."""
        self.held_back.append(self._changed(pick))
        newer = self._changed(pick, **change)
        newer["version"] += 1
        self._send_event(pick[0], newer)

    @precondition(lambda self: bool(self.held_back))
    @rule(lane=st.sampled_from(LANES))
    def arrive_late(self, lane: int) -> None:
        self.feeds.send(Feed.EVENTS, lane, self.held_back.pop())

    @rule(pick=picks, more=repetitions)
    def send_an_event_again(self, pick: Pick, more: int) -> None:
        body = deepcopy(_picked(self.events, pick))
        body["data"]["amount_cents"] += more
        self.feeds.send(Feed.EVENTS, pick[0], body)

    # --- corrections ---

    @rule(place=places, stated=restatements)
    def figures(self, place: Place, stated: Cents) -> None:
        self._send_correction(place, figures=stated)

    @rule(place=places, counted=counts)
    def declared_closing(self, place: Place, counted: int | None) -> None:
        self._send_correction(place, declared=counted)

    @rule(place=places)
    def recompute(self, place: Place) -> None:
        self._send_correction(place)

    @rule(pick=picks, more=repetitions)
    def send_a_correction_again(self, pick: Pick, more: int) -> None:
        body = deepcopy(_picked(self.corrections, pick))
        body["recorded_by"]["user_id"] += more
        self.feeds.send(Feed.CORRECTIONS, pick[0], body)

    @rule(lane=st.sampled_from(LANES), feed=st.sampled_from(Feed))
    def send_junk(self, lane: int, feed: Feed) -> None:
        self.feeds.send(feed, lane, None)

    # --- batches ---

    @rule(shares=cuts)
    def take_some(self, shares: tuple[int, ...]) -> None:
        self._commit(self.feeds.take(shares))

    @rule()
    def take_all(self) -> None:
        self._commit(self.feeds.take_all())

    @precondition(lambda self: bool(self.naive.rows))
    @rule(pick=picks)
    def drift(self, pick: Pick) -> None:
        """Somebody changes a balance by hand: what `recompute` is there to mend."""
        property_, written = _picked(sorted(self.naive.rows), pick)
        days, day = self.books.balances[1, property_], date.fromisoformat(written)
        days[day] = msgspec.structs.replace(days[day], figures=days[day].figures.plus(Figures(0, 9, 0, 0)))
        self.naive.drift((property_, written), 9)

    def teardown(self) -> None:
        """What is left makes the last batch; unless a batch failed, whose failure another one would hide."""
        if self.sound:
            self._commit(self.feeds.take_all())

    # --- what the rules do ---

    def _changed(self, pick: Pick, verb: str = "updated", **data: Any) -> Body:
        """The next version of a transaction, as it was sent last, with these changes."""
        before = _picked(list(self.newest.values()), pick)
        status = data.get("status", before["data"]["status"])
        kind = before["type"].partition(".")[0]
        verb = "deleted" if status == "deleted" else verb  # an update announces any other state
        fresh = event(before["aggregate_id"], before["version"] + 1, kind=kind, verb=verb)
        kept = {name: before[name] for name in ("property_id", "occurred_at")}
        return fresh | kept | {"data": before["data"] | data}

    def _send_event(self, lane: int, body: Body) -> None:
        self.newest[body["type"].partition(".")[0], body["aggregate_id"]] = body
        self.events.append(body)
        self.feeds.send(Feed.EVENTS, lane, body)

    def _send_correction(self, place: Place, **what: Any) -> None:
        lane, property_, days = place
        body = correction(property_=property_, day=TODAY + timedelta(days=days), **what)
        self.corrections.append(body)
        self.feeds.send(Feed.CORRECTIONS, lane, body)

    def _commit(self, batch: list[Sent]) -> None:
        """A batch at once, and the same records one by one."""
        self.sound = False
        self._count(self.books.commit([record for record, _ in batch]))
        for record, body in batch:
            self.naive.take(record.origin.lane, body)
        self.naive.close_batch()
        self._compare()
        self.sound = True

    def _count(self, decisions: Decisions) -> None:
        for lane, of_lane in decisions.outcomes.items():
            self.outcomes.update({(lane, str(outcome)): count for outcome, count in of_lane.items() if count})
        self.gaps.update(decisions.version_gaps)

    def _compare(self) -> None:
        assert self.outcomes == self.naive.outcomes
        assert self.gaps == self.naive.gaps
        assert _rows(self.books) == self.naive.rows
        assert _adjustments(self.books) == self.naive.adjustments
        stored = {(key[1:], version) for key, version in self.books.store}
        assert stored == {(key, version) for key, versions in self.naive.versions.items() for version in versions}
        assert {key[1:]: snapshot.version for key, snapshot in self.books.snapshots.items()} == {
            key: max(versions) for key, versions in self.naive.versions.items()
        }


def _picked(bodies: list[Any], pick: Pick) -> Any:
    return bodies[-1 - pick[1] % len(bodies)]


def _rows(books: MemoryBooks) -> dict[Day, DayRow]:
    return {
        (property_, day.isoformat()): DayRow(
            row.version,
            row.opening_cents,
            row.figures,
            row.declared_closing_cents,
            row.closing_cents,
            row.discrepancy_cents,
        )
        for (_, property_), days in books.balances.items()
        for day, row in days.items()
    }


def _adjustments(books: MemoryBooks) -> list[tuple[Day, Cents, Cents]]:
    return [
        ((property_, day.isoformat()), each.before, each.after)
        for each in books.adjustments
        for _, property_, day in [day_of(each.record)]
    ]


# Hypothesis makes the test of it. A campaign on a busy machine takes longer than a test usually may.
TestHistories = pytest.mark.timeout(900)(Histories.TestCase)
TestHistories.settings = settings(max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None)
