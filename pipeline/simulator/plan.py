"""What a simulated day is made of. The same plan gives the same bytes, on every platform and Python version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from hashlib import blake2b
from random import Random
from typing import Final, NamedTuple

from pipeline.errors import SettingsRefused
from schemas.topics import Feed

ORGS_MAX: Final = 10_000_000  # what the platform grows to; user and property ids stay far inside 64 bits
PROPERTIES_MAX: Final = 6
# Hotels correct their days here and there; a day of little else is no trading day.
CORRECTION_SHARE_MAX: Final = 0.5
CORRECTION_SHARE_DEFAULT: Final = 0.015
_ID_MAX: Final = 2**63 - 1


class Message(NamedTuple):
    """A record to send, what it is meant to be (`created`, `counted`, `duplicate`, `poison.text`, …), and where to."""

    key: bytes | None
    value: bytes | None
    kind: str
    feed: Feed = Feed.EVENTS


class Opening(NamedTuple):
    """How the books have a hotel before a run.

    `closing_cents` is that of the last day before the trading day, `counted_on` the last of those days that was
    counted, and `figures` are the movements that the trading day has already: cash and bank received, cash and bank
    expenses.
    """

    closing_cents: int = 0
    counted_on: date | None = None
    figures: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Plan:
    """A trading day in messages. Shares lie between 0 and 1.

    `correction_share`, `duplicate_share` and `poison_share` are of all messages, `late_share` (2 to 80 days back) and
    `recent_share` (yesterday and last week) of the created transactions. Aggregate ids are `id_base` + 1, + 2, …,
    never more than there are messages: a run whose `id_base` is the number of messages ever sent meets no id of an
    earlier one.
    `property_weights[n]` is how common organisations with n + 1 properties are. `openings` are those of hotels that
    traded before, by organisation and property: without them a hotel counts what this run alone put into its drawer.

    Raises SettingsRefused naming what is out of range.
    """

    day: date
    events: int = 10_000
    orgs: int = 1_000
    seed: int = 1
    id_base: int = 0
    duplicate_share: float = 0.005
    late_share: float = 0.02
    recent_share: float = 0.08
    poison_share: float = 0.001
    correction_share: float = CORRECTION_SHARE_DEFAULT
    property_weights: tuple[int, ...] = (50, 20, 12, 8, 6, 4)
    openings: Mapping[tuple[int, int], Opening] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        _within("events", self.events, 0, 10**10)
        _within("orgs", self.orgs, 1, ORGS_MAX)
        _within("id_base", self.id_base, 0, _ID_MAX - self.events)
        for name in ("duplicate_share", "late_share", "recent_share", "poison_share"):
            _within(name, getattr(self, name), 0, 1)
        _within("correction_share", self.correction_share, 0, CORRECTION_SHARE_MAX)
        _within("duplicate_share + poison_share", self.duplicate_share + self.poison_share, 0, 1)
        _within("late_share + recent_share", self.late_share + self.recent_share, 0, 1)
        _within("the number of property_weights", len(self.property_weights), 1, PROPERTIES_MAX)
        _within("the least of property_weights", min(self.property_weights), 0, 1_000)
        _within("the sum of property_weights", sum(self.property_weights), 1, 1_000 * PROPERTIES_MAX)

    def dice(self, purpose: str) -> Random:
        """Dice of this plan and purpose alone: two days of one seed differ, and so do two runs of one day.

        Only `random()` and `getrandbits()` may be drawn: their output is kept by Python for ever, that of the other
        methods is not, and logarithms and powers differ in the last bit between platforms.
        """
        text = f"{purpose}/{self.seed}/{self.day.isoformat()}/{self.events}/{self.orgs}/{self.id_base}"
        return Random(int.from_bytes(blake2b(text.encode(), digest_size=16).digest(), "big"))  # noqa: S311


def _within(name: str, value: float, least: int, most: float) -> None:
    # Written so that NaN, which compares false with everything, is refused too.
    if not least <= value <= most:
        raise SettingsRefused(f"{name} is {value}; between {least} and {most} is accepted")
