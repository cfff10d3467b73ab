"""The reads of an organisation: balances, reports, transactions, and what the books said at an instant."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Any, Final, Generic, TypeVar

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, PathParameter, QueryParameter
from litestar.types import Scope

from pipeline.api.access import own_organisation
from pipeline.api.intents import ANY, ReadHeader, intent_of
from pipeline.api.places import AFTER_ID, AFTER_VERSION, in_utc, place_of, placed, transaction_place_of
from pipeline.api.problems import OF_READS, Missing, documented
from pipeline.api.surrogate import ON_A_DAY_AND_OTHERS, ON_ONE_DAY, ON_SEVERAL_DAYS, rests_on_others_too
from pipeline.cache.tiers import TieredBalances
from pipeline.errors import ReadRefused
from pipeline.storage.as_of import AsOf
from pipeline.storage.balances import Balances
from pipeline.storage.reports import Reports
from pipeline.storage.transactions import Transactions
from pipeline.storage.values import (
    PAGE_ROWS_MAX,
    Balance,
    DailyReport,
    Kind,
    MonthSummary,
    OverviewLine,
    Page,
    RecordedBalance,
    StoredVersion,
    Transaction,
)
from schemas.envelope import Encoding, envelope_of

T = TypeVar("T")
UNCOMPRESSED: Final = "uncompressed"  # an option of routes whose answers are small, or are to arrive as they come
_LIMIT: Final = 100

Limit = Annotated[int, QueryParameter(ge=1, le=PAGE_ROWS_MAX, description="Items of a page.")]
After = Annotated[str | None, QueryParameter(max_length=512, description="The `next` of the page before.")]
# As text: as a date-time the library takes a number of seconds for one, too.
Instant = Annotated[
    str,
    QueryParameter(
        pattern=r"^[0-9]{4}(-[0-9]{2}){2}[Tt ][0-9]{2}(:[0-9]{2}){2}(\.[0-9]{1,6})?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        description="RFC 3339, with its offset from UTC.",
    ),
]
Id = Annotated[int, PathParameter(ge=1, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A page of a list; `next` goes on behind it, and is absent at the end."""

    items: tuple[T, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One version of a transaction, as the event store keeps it. `record` is the body that came, unknown fields too."""

    version: int
    event_type: str
    event_id: str
    property_id: int
    balance_date: date
    occurred_at: datetime
    recorded_at: datetime
    outcome: str
    record: Any


@dataclass(frozen=True, slots=True)
class Books:
    """What the routes read by."""

    cached: TieredBalances
    balances: Balances
    reports: Reports
    transactions: Transactions
    as_of: AsOf


class PropertyReads(Controller):
    """What one property's days say."""

    path = "/v1/orgs/{org_id:int}/properties/{property_id:int}"
    guards = (own_organisation,)
    tags = ("Balances",)

    # An answer has half a kibibyte: nobody need look whether it is worth compressing.
    @get(
        "/balances/{day:date}",
        responses=OF_READS,
        summary="The balance of a day",
        opt={UNCOMPRESSED: True, **ON_ONE_DAY},
    )
    async def of_day(
        self,
        books: NamedDependency[Books],
        scope: Scope,
        org_id: Id,
        property_id: Id,
        day: FromPath[date],
        read: ReadHeader = "any",
    ) -> Balance:
        """From the cache, unless `Folio-Read` says which server is asked (docs/cache.md).

        A day without a row moved nothing: it closes as the latest day before it, and has version 0.
        """
        if read == ANY:
            newest = await books.cached.newest(org_id, property_id, day)
        else:
            newest = await books.balances.latest(org_id, property_id, day, intent=intent_of(read))
        if newest is None or newest.balance_date != day:
            rests_on_others_too(scope)  # no update of this day tells that the one before it has changed
        balance = balance_on(newest, day) if newest is not None else None
        return found(balance, f"property {property_id} has no balance on or before {day}")

    @get(
        "/balances",
        responses=OF_READS,
        opt=ON_SEVERAL_DAYS,
        summary="The balances of a range of days, oldest first",
    )
    async def of_range(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        property_id: Id,
        first: FromQuery[date],
        last: FromQuery[date],
        read: ReadHeader = "any",
        limit: Limit = _LIMIT,
        after: After = None,
    ) -> Listed[Balance]:
        """Days with a row alone, from `first` to `last`, both included."""
        page = await books.balances.of_range(
            org_id, property_id, first, last, intent=intent_of(read), limit=limit, after=place_of(after, date)
        )
        return listed(page)

    @get(
        "/balances/{day:date}/as-of",
        responses=OF_READS | documented(409, 410),
        summary="What the books said of a day at an instant of recording",
    )
    async def as_of(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        property_id: Id,
        day: FromPath[date],
        recorded_at: Instant,
        read: ReadHeader = "any",
    ) -> RecordedBalance:
        """Answered only for instants that nothing can be recorded before any more; else 409."""
        balance = await books.as_of.balance(org_id, property_id, day, instant_of(recorded_at), intent=intent_of(read))
        return found(balance, f"property {property_id} had no balance on or before {day} by then")

    @get(
        "/reports/daily/{day:date}",
        responses=OF_READS,
        opt=ON_A_DAY_AND_OTHERS,
        summary="The daily report of a property",
        tags=["Reports"],
    )
    async def daily(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        property_id: Id,
        day: FromPath[date],
        read: ReadHeader = "any",
        limit: Limit = _LIMIT,
    ) -> DailyReport:
        """The day's balance, the totals of all its transactions, and the first `limit` of each kind."""
        report = await books.reports.daily(org_id, property_id, day, intent=intent_of(read), limit=limit)
        return found(report, f"there is no property {property_id}")

    @get(
        "/reports/months/{month:date}",
        responses=OF_READS,
        opt=ON_SEVERAL_DAYS,
        summary="The month in which a day lies",
        tags=["Reports"],
    )
    async def month(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        property_id: Id,
        month: FromPath[date],
        read: ReadHeader = "any",
    ) -> MonthSummary:
        """Opening, movements and closing of a calendar month."""
        summary = await books.reports.month(org_id, property_id, month, intent=intent_of(read))
        return found(summary, f"property {property_id} has no balance in that month or before")

    @get(
        "/transactions/{kind:str}/{day:date}",
        responses=OF_READS,
        summary="A day's revenues or expenses",
        tags=["Transactions"],
    )
    async def transactions(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        property_id: Id,
        kind: FromPath[Kind],
        day: FromPath[date],
        read: ReadHeader = "any",
        limit: Limit = _LIMIT,
        after: After = None,
    ) -> Listed[Transaction]:
        """In the order in which they occurred."""
        page = await books.transactions.of_day(
            org_id, property_id, day, kind, intent=intent_of(read), limit=limit, after=transaction_place_of(after)
        )
        return listed(page)


class OrganisationReads(Controller):
    """What belongs to an organisation as a whole."""

    path = "/v1/orgs/{org_id:int}"
    guards = (own_organisation,)
    tags = ("Reports",)

    @get("/overview", responses=OF_READS, summary="The properties, each with its latest day")
    async def overview(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        day: FromQuery[date],
        read: ReadHeader = "any",
        limit: Limit = _LIMIT,
        after: After = None,
    ) -> Listed[OverviewLine]:
        """The latest day on or before `day`; a property without one is listed all the same."""
        place = place_of(after, AFTER_ID) or 0
        page = await books.reports.overview(org_id, day, intent=intent_of(read), limit=limit, after=place)
        return listed(page)

    @get(
        "/transactions/{kind:str}/{transaction_id:int}",
        responses=OF_READS,
        summary="A revenue or expense",
        tags=["Transactions"],
    )
    async def transaction(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        kind: FromPath[Kind],
        transaction_id: Id,
        read: ReadHeader = "any",
    ) -> Transaction:
        """Its newest version."""
        transaction = await books.transactions.by_id(org_id, kind, transaction_id, intent=intent_of(read))
        return found(transaction, f"there is no {kind} {transaction_id}")

    @get(
        "/transactions/{kind:str}/{transaction_id:int}/history",
        responses=OF_READS,
        summary="Every version of it",
        tags=["Transactions"],
    )
    async def history(
        self,
        books: NamedDependency[Books],
        org_id: Id,
        kind: FromPath[Kind],
        transaction_id: Id,
        read: ReadHeader = "any",
        limit: Limit = _LIMIT,
        after: After = None,
    ) -> Listed[StoredEvent]:
        """Lowest version first, each as its record said it, and what became of it."""
        page = await books.transactions.history(
            org_id, kind, transaction_id, intent=intent_of(read), limit=limit, after=place_of(after, AFTER_VERSION) or 0
        )
        return listed(page, stored_event)


def instant_of(text: str) -> datetime:
    """Raises ReadRefused."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReadRefused(f"`recorded_at` takes an instant such as 2026-11-01T00:00:00Z: {error}") from error
    return in_utc(instant, "recorded_at")


def balance_on(latest: Balance, day: date) -> Balance:
    """A day as the latest row on or before it has it: its own, or one on which nothing has moved since."""
    if latest.balance_date == day:
        return latest
    closing = latest.closing_balance_cents
    return Balance(latest.property_id, day, 0, closing, 0, 0, 0, 0, closing, None, closing, 0, None, latest.updated_at)


def stored_event(stored: StoredVersion) -> StoredEvent:
    """With the body of its record, decoded."""
    return StoredEvent(
        stored.version,
        stored.event_type,
        str(stored.event_id),
        stored.property_id,
        stored.balance_date,
        stored.occurred_at,
        stored.recorded_at,
        stored.outcome,
        _body(stored),
    )


def _body(stored: StoredVersion) -> Any:
    if envelope_of(stored.headers).encoding is Encoding.MESSAGEPACK:
        return msgspec.msgpack.decode(stored.event_data)
    return msgspec.json.decode(stored.event_data)


def found(value: T | None, otherwise: str) -> T:
    """Raises Missing where there is nothing."""
    if value is None:
        raise Missing(otherwise)
    return value


def listed(page: Page[Any, Any], shown: Callable[[Any], T] = lambda item: item) -> Listed[T]:
    """A page, as it is answered."""
    return Listed(tuple(shown(item) for item in page.items), placed(page.next))
