"""What may become of a property: what stands and what is wanted in, a judgement out.

What is booked is never recomputed. So the currency is settled by the first use, the opening cash by the first balance,
and the calendar for every instant up to the latest that was booked.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from msgspec import UNSET

from schemas.currencies import in_major_units
from schemas.properties import BEGINNING, Calendar, PropertyLine
from schemas.records import PropertyKey


@dataclass(frozen=True, slots=True)
class Standing:
    """A property as the database has it."""

    name: str | None
    currency: str
    opening_cash_cents: int
    self_registered: bool
    calendar: Calendar
    has_balances: bool


class Verdict(StrEnum):
    """What a load would do with a property."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A property as it would be, the zones to write for it, and what to tell about it."""

    key: PropertyKey
    verdict: Verdict
    said: tuple[str, ...]
    name: str | None = None
    currency: str = ""
    opening_cash_cents: int = 0
    zones: Calendar = ()

    @property
    def writes(self) -> bool:
        return self.verdict in {Verdict.NEW, Verdict.CHANGED}


def needs_history(wanted: PropertyLine, standing: Standing | None) -> bool:
    """Whether the judgement hangs on what is booked. To find that out costs a read of the organisation's history."""
    if standing is None:
        return False
    return wanted.currency != standing.currency or first_difference(standing.calendar, wanted.calendar) is not None


def judge(wanted: PropertyLine, standing: Standing | None, latest_booked: datetime | None) -> Judgement:
    """Judge one property. `latest_booked` is the latest instant of any booked event of it; None where there is none."""
    if standing is None:
        return _new(wanted)
    refused = (
        _currency_refused(wanted, standing, latest_booked),
        _opening_cash_refused(wanted, standing),
        _zones_refused(wanted, standing, latest_booked),
    )
    if any(refused):
        return Judgement(wanted.key, Verdict.REFUSED, tuple(reason for reason in refused if reason))
    name = standing.name if wanted.name is UNSET else wanted.name
    opening_cash_cents = _opening_cash(wanted, standing)
    said = _changes(wanted, standing, name, opening_cash_cents)
    if not said:
        return Judgement(wanted.key, Verdict.UNCHANGED, ())
    zones = zones_to_write(standing.calendar, wanted.calendar)
    return Judgement(wanted.key, Verdict.CHANGED, said, name, wanted.currency, opening_cash_cents, zones)


def _new(wanted: PropertyLine) -> Judgement:
    name = None if wanted.name is UNSET else wanted.name
    cents = 0 if wanted.opening_cash_cents is UNSET else wanted.opening_cash_cents
    said = (f"opening cash {_amount(cents, wanted.currency)}", calendar_text(wanted.calendar))
    return Judgement(wanted.key, Verdict.NEW, said, name, wanted.currency, cents, wanted.calendar)


def _currency_refused(wanted: PropertyLine, standing: Standing, latest_booked: datetime | None) -> str | None:
    # A property that registered itself is used by the very event that registered it.
    used = standing.self_registered or standing.has_balances or latest_booked is not None
    if wanted.currency == standing.currency or not used:
        return None
    return (
        f"currency {standing.currency} -> {wanted.currency}: the property is used, and keeps {standing.currency}; "
        "load a new property in the other currency"
    )


def _opening_cash_refused(wanted: PropertyLine, standing: Standing) -> str | None:
    cents = _opening_cash(wanted, standing)
    if cents == standing.opening_cash_cents or not standing.has_balances:
        return None
    return (
        f"opening cash {_amount(standing.opening_cash_cents, standing.currency)} -> "
        f"{_amount(cents, standing.currency)}: the property has balances, which would all have to be recomputed; "
        "send a balance correction that declares the closing of a day instead"
    )


def _zones_refused(wanted: PropertyLine, standing: Standing, latest_booked: datetime | None) -> str | None:
    differs_from = first_difference(standing.calendar, wanted.calendar)
    if differs_from is None or latest_booked is None or differs_from > latest_booked:
        return None
    since = "the beginning" if differs_from == BEGINNING else differs_from.isoformat()
    return (
        f"time zones {calendar_text(standing.calendar)} -> {calendar_text(wanted.calendar)} differ from {since} on, "
        f"but events up to {latest_booked.isoformat()} are booked: a change must begin after that instant"
    )


def _changes(wanted: PropertyLine, standing: Standing, name: str | None, opening_cash_cents: int) -> tuple[str, ...]:
    said = []
    if standing.self_registered:
        said.append("registered itself -> loaded")
    if name != standing.name:
        said.append(f"name {standing.name!r} -> {name!r}")
    if wanted.currency != standing.currency:
        said.append(f"currency {standing.currency} -> {wanted.currency}")
    if opening_cash_cents != standing.opening_cash_cents:
        before = _amount(standing.opening_cash_cents, standing.currency)
        said.append(f"opening cash {before} -> {_amount(opening_cash_cents, wanted.currency)}")
    if first_difference(standing.calendar, wanted.calendar) is not None:
        said.append(f"time zones {calendar_text(standing.calendar)} -> {calendar_text(wanted.calendar)}")
    return tuple(said)


def _opening_cash(wanted: PropertyLine, standing: Standing) -> int:
    return standing.opening_cash_cents if wanted.opening_cash_cents is UNSET else wanted.opening_cash_cents


# --- calendars ---


def zone_at(calendar: Calendar, instant: datetime) -> str:
    """The zone in force. Before the first instant of a calendar its first zone holds."""
    return next((zone for valid_from, zone in reversed(calendar) if valid_from <= instant), calendar[0][1])


def first_difference(one: Calendar, other: Calendar) -> datetime | None:
    """The first instant at which two calendars name different zones; None where they never do."""
    instants = sorted({BEGINNING, *(valid_from for valid_from, _ in (*one, *other))})
    return next((instant for instant in instants if zone_at(one, instant) != zone_at(other, instant)), None)


def zones_to_write(standing: Calendar, wanted: Calendar) -> Calendar:
    """The rows that make the standing calendar say what the wanted one says.

    No row is ever deleted: a change that is taken back becomes one from a zone to the same zone.
    """
    rows = dict(standing)
    instants = sorted({valid_from for valid_from, _ in (*standing, *wanted)})
    after = {instant: zone_at(wanted, instant) for instant in instants}
    return tuple((instant, zone) for instant, zone in after.items() if rows.get(instant) != zone)


def plain(calendar: Calendar) -> Calendar:
    """The same calendar without changes from a zone to itself."""
    return tuple(entry for place, entry in enumerate(calendar) if place == 0 or calendar[place - 1][1] != entry[1])


def calendar_text(calendar: Calendar) -> str:
    """`Asia/Kolkata, from 2026-03-01T00:00:00+00:00 Europe/Lisbon`."""
    (_, first), *later = plain(calendar)
    return ", ".join([first, *(f"from {valid_from.isoformat()} {zone}" for valid_from, zone in later)])


def _amount(cents: int, currency: str) -> str:
    return f"{in_major_units(cents, currency) or f'{cents} minor units of'} {currency}"
