"""The real books on a real database: claimed lanes, records for them, and what the tables then say."""

import itertools
from datetime import date, timedelta
from typing import Any

import asyncpg
from uuid_utils.compat import uuid7

from batchers.books import Books, BooksSettings, Committed
from batchers.connection import Reach
from batchers.outbox import Marks
from batchers.properties import PropertyDefaults
from consumers.claiming import Claimant, RecordedRules, claim_lanes
from pipeline.settings import DatabaseSettings
from pipeline.storage.connect import connect_worker, connect_writer
from schemas.lanes import Batch, Claim, LaneSlice
from schemas.records import Accepted, AcceptedCorrection, Judged
from schemas.routing import home_lane
from schemas.topics import Feed
from tests.support.clocks import HandClock
from tests.support.events import Offsets


def _go_on(_point: str) -> None:
    return


def claimant(lane_count: int, owner: str = "test", retention_months: int = 24) -> Claimant:
    rules = RecordedRules(timedelta(days=3660), timedelta(hours=24), "INR", "Asia/Kolkata", "register")
    return Claimant(owner, {feed: feed.value for feed in Feed}, lane_count, rules, retention_months)


class Ledger:
    """One worker's books. Everything that it looks up goes over a connection of its own, with every right."""

    def __init__(
        self,
        database_url: str,
        admin: asyncpg.Connection,
        *,
        lane_count: int = 2,
        retention_months: int = 24,
        settings: DatabaseSettings | None = None,
        reach: Reach | None = None,
    ) -> None:
        self.url = database_url
        self.admin = admin
        self.lane_count = lane_count
        self.clock = HandClock()
        self.settings = settings or DatabaseSettings()
        self.lanes = {lane: Offsets(lane) for lane in range(lane_count)}
        self.desks = {lane: Offsets(lane, feed=Feed.CORRECTIONS) for lane in range(lane_count)}
        self.claims: dict[int, Claim] = {}
        self.positions: dict[tuple[int, Feed], int | None] = {}
        self._retention_months = retention_months
        self._reach = reach or _go_on
        self.marks = Marks()
        self.books = self._new_books()

    async def claim(self, *lanes: int) -> "Ledger":
        """Take lanes over; all of them when none is named. The books begin anew, as in a new session."""
        self.books.discard()
        connection = await self.connect_to_look()
        try:
            taken = lanes or range(self.lane_count)
            who = claimant(self.lane_count, retention_months=self._retention_months)
            claims = [claimed.claim for claimed in await claim_lanes(connection, who, taken)]
        finally:
            await connection.close()
        self.claims = {claim.lane: claim for claim in claims}
        self.positions = {(claim.lane, feed): claim.standings[feed].position for claim in claims for feed in Feed}
        self.marks = Marks.of(claims)
        self.books = self._new_books()
        return self

    def _new_books(self) -> Books:
        defaults = PropertyDefaults("INR", "Asia/Kolkata")
        settings = BooksSettings(self.lane_count, self._retention_months, defaults)
        primary = next((claim.cluster_epoch for claim in self.claims.values()), "no claim yet")
        return Books(self.connect, settings, primary, self.marks, self.clock, self._reach)

    async def connect(self) -> asyncpg.Connection:
        """As a worker connects: role folio_writer, every bound in place."""
        return await connect_writer(self.url, self.settings, "test")

    async def connect_to_look(self) -> asyncpg.Connection:
        """As a worker connects for a few statements."""
        return await connect_worker(self.url, self.settings, "test")

    def event(self, *args: Any, lane: int | None = None, **kwargs: Any) -> Accepted:
        """The next record of the organisation's home lane, or of another one."""
        home = home_lane(kwargs.get("org", 1), self.lane_count)
        return self.lanes[home if lane is None else lane].event(*args, **kwargs)

    def correction(self, *, lane: int | None = None, **kwargs: Any) -> AcceptedCorrection:
        """The next correction on the organisation's home lane, or on another one."""
        home = home_lane(kwargs.get("org", 1), self.lane_count)
        return self.desks[home if lane is None else lane].correction(**kwargs)

    def batch(self, *records: Judged) -> Batch:
        """A batch of these records, from where each lane stands."""
        slices = []
        for lane, feed in itertools.product(range(self.lane_count), Feed):
            of_lane = [record for record in records if (record.origin.lane, record.origin.topic) == (lane, feed)]
            if of_lane:
                claim, position = self.claims[lane], self.positions[lane, feed]
                start = of_lane[0].origin.offset if position is None else position
                slices.append(LaneSlice(lane, claim.epoch, start, of_lane[-1].origin.offset + 1, of_lane, feed))
        return Batch(uuid7(), tuple(slices))

    async def commit(self, *records: Judged) -> Committed:
        """One batch of these records, in the books."""
        return await self.put(self.batch(*records))

    async def put(self, batch: Batch) -> Committed:
        """The batch itself, in the books; afterwards the lanes stand behind it."""
        committed = await self.books.commit(batch)
        self.positions.update(committed.positions)
        return committed

    # --- what the tables say ---

    async def rows(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        return await self.admin.fetch(statement, *arguments)

    async def value(self, statement: str, *arguments: object) -> Any:
        return await self.admin.fetchval(statement, *arguments)

    async def days(self, org: int = 1, property_: int = 1) -> list[tuple[Any, ...]]:
        """Of each day of a property: date, version, opening, closing."""
        rows = await self.rows(
            "SELECT balance_date, version, opening_balance_cents, closing_balance_cents "
            "FROM finance.daily_cash_balances_partitioned WHERE org_id = $1 AND property_id = $2 ORDER BY balance_date",
            org,
            property_,
        )
        return [tuple(row) for row in rows]

    async def transactions(self, kind: str = "revenues") -> list[tuple[Any, ...]]:
        """Of each transaction in the monthly tables: id, version, amount, status, balance date, partition."""
        rows = await self.rows(
            f"SELECT id, version, amount_cents, status, balance_date, tableoid::regclass::text "
            f"FROM finance.{kind}_partitioned ORDER BY org_id, id"
        )
        return [tuple(row) for row in rows]

    async def stored(self) -> list[tuple[int, int, str]]:
        """Of each stored event: transaction, version, outcome, as they were recorded."""
        rows = await self.rows(
            "SELECT aggregate_id, version, outcome FROM event_store.events ORDER BY recorded_at, lane"
        )
        return [tuple(row) for row in rows]

    async def dead_letters(self) -> list[tuple[int, int, str]]:
        """Lane, offset and reason of each."""
        rows = await self.rows("SELECT lane, record_offset, reason FROM ops.dead_letters ORDER BY lane, record_offset")
        return [tuple(row) for row in rows]

    async def lane(self, lane: int) -> asyncpg.Record:
        row = await self.admin.fetchrow("SELECT * FROM ops.lanes WHERE lane = $1", lane)
        assert row is not None
        return row

    async def outcomes(self, lane: int) -> dict[str, int]:
        """Records of a lane by what became of them, those that occurred."""
        row = await self.lane(lane)
        names = ("applied", "duplicate", "stale", "conflict", "quarantined")
        return {name: row[name] for name in names if row[name]}

    async def load_balance(self, day: date, cash: int, org: int = 1, property_: int = 1) -> None:
        """A day that was there before the test, with so much cash received."""
        await self.admin.execute(
            "INSERT INTO finance.daily_cash_balances_partitioned "
            "VALUES ($1, $2, $3, 1, 0, $4, 0, 0, 0, $4, NULL, $4, 0, NULL, now())",
            org,
            property_,
            day,
            cash,
        )
