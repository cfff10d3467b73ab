"""What is sent: described, seeded, and the same bytes each time for the same description.

A workload is not a recording: `bench.generating` makes its messages, a few µs of CPU each. What it claims of itself
(key distribution, shares) is its description; how many distinct keys came of that is counted as it is made (`Census`).
"""

from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from hashlib import blake2b
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

ZONE: Final = "Asia/Kolkata"  # of every property that registers itself
LATE_DAYS_MIN: Final = 8
_CREATIONS_AN_ORG: Final = 10


@dataclass(frozen=True, slots=True)
class Workload:
    """A seeded description of what is sent.

    Organisation k of `orgs` gets a share of the events in proportion to k ** -`zipf_exponent`; 0: all the same.
    Days count back from `today`, the business date at the properties. `history_days` and `history_density` describe
    what is booked before the measured events: on that share of the days before today each property has a row.
    """

    name: str
    events: int
    today: date
    orgs: int = 100_000
    properties_per_org: int = 4
    zipf_exponent: float = 0.8
    creations_share: float = 0.7  # the rest changes what was created: approvals, edits, moves, deletions
    pending_share: float = 0.4  # of the creations: they weigh nothing until they are approved
    duplicate_share: float = 0.005  # exact repetitions of one of the last thousand messages
    last_week_share: float = 0.08  # 1 to 7 days before today
    late_share: float = 0.02  # 8 to `late_days_max` days before today
    late_days_max: int = 80
    open_transactions_max: int = 100_000  # a change is made to one of so many latest transactions, each as likely
    properties_loaded: bool = False  # before the rounds, as `folio properties load` does; else each registers itself
    history_days: int = 0
    history_density: float = 0.0
    first_transaction_id: int = (
        1  # where the numbers of its transactions begin: behind those of books that it goes on with
    )
    seed: int = 1

    @property
    def today_share(self) -> float:
        return 1 - self.last_week_share - self.late_share

    @property
    def id(self) -> str:
        """Eight characters that stand for the whole description: a loaded topic is found again by it."""
        return blake2b(msgspec.json.encode(asdict(self), order="sorted"), digest_size=4).hexdigest()

    @property
    def distribution(self) -> str:
        """How events spread over keys, in words."""
        spread = "uniform" if self.zipf_exponent == 0 else f"Zipf, exponent {self.zipf_exponent:g}"
        return f"{self.orgs:,} organisations ({spread}), {self.properties_per_org} properties each (uniform)"

    @property
    def mixture(self) -> str:
        """What the events say, in words."""
        properties = f"properties {'loaded before' if self.properties_loaded else 'register themselves'}"
        parts = (self._kinds(), self._days(), self._repeated(), properties, self._history())
        return "; ".join(part for part in parts if part)

    def _kinds(self) -> str:
        if self.creations_share == 1:
            return "Creations only, each with an id of its own"
        return (
            f"{self.creations_share:.0%} creations ({self.pending_share:.0%} of them await approval), the rest "
            f"approvals, edits, moves and deletions of one of the last {self.open_transactions_max:,} transactions"
        )

    def _days(self) -> str:
        shares = {
            "of today": self.today_share,
            "of the week before": self.last_week_share,
            f"{LATE_DAYS_MIN} to {self.late_days_max} days late": self.late_share,
        }
        return ", ".join(f"{share:.0%} {days}" for days, share in shares.items() if share)

    def _repeated(self) -> str:
        return f"{self.duplicate_share:.1%} duplicates" if self.duplicate_share else "no duplicates"

    def _history(self) -> str:
        if not self.history_days:
            return ""
        return f"booked before: {self.history_density:.0%} of the last {self.history_days} days of each property"


class Census(msgspec.Struct):
    """What came of a workload's description: counted, not claimed."""

    messages: int = 0
    value_bytes: int = 0
    organisations: int = 0
    properties: int = 0
    property_days: int = 0
    transactions: int = 0
    hottest_org_share: float = 0.0
    kinds: dict[str, int] = msgspec.field(default_factory=dict)  # created, approved, updated …, and duplicate
    moves: int = 0  # of those updated


def mixed(events: int, *, today: date | None = None, orgs: int = 100_000, properties_loaded: bool = False) -> Workload:
    """The workload of `drain`, `limit` and `live`."""
    day = today or business_day()
    return Workload(name="mixed", events=events, today=day, orgs=orgs, properties_loaded=properties_loaded)


def creations(
    events: int, *, today: date | None = None, orgs: int | None = None, properties_loaded: bool = False
) -> Workload:
    """The workload of the peers: every event is a new approved transaction of today, and hardly a key is hot.

    Ten events an organisation unless `orgs` says otherwise, so that a short run coalesces as the published one does.
    """
    orgs = orgs or max(events // _CREATIONS_AN_ORG, 1)
    return replace(
        mixed(events, today=today, orgs=orgs, properties_loaded=properties_loaded),
        name="creations",
        zipf_exponent=0.0,
        creations_share=1.0,
        pending_share=0.0,
        duplicate_share=0.0,
        last_week_share=0.0,
        late_share=0.0,
    )


def business_day() -> date:
    """Today at the properties."""
    return datetime.now(ZoneInfo(ZONE)).date()
