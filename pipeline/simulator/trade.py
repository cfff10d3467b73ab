"""What hotels earn and spend, when, and how much. Whole numbers only, so that every platform draws the same."""

import json
from dataclasses import dataclass
from datetime import date
from typing import Final

from schemas.events import AMOUNT_CENTS_MAX, AggregateType

_SATURDAY: Final = 5


@dataclass(frozen=True, slots=True)
class Category:
    """A kind of revenue or expense.

    `eighths` are the amounts in whole currency units that part its entries into eight equal shares; between two of
    them it is uniform. `curve` is how busy each hour of the day is, `cash` of 256 entries are paid in cash.
    """

    name: str
    kind: AggregateType
    eighths: tuple[int, ...]
    curve: tuple[int, ...]
    weekend_percent: int
    cash: int
    follows_room_rate: bool
    odd_cents: bool
    descriptions: tuple[str, ...]
    references: tuple[str, ...]
    source: str

    def amount_cents(self, bits: int, percent: int) -> int:
        """An amount from 16 random bits, scaled by `percent` where it follows the room rate."""
        step, part = bits >> 13, bits & 0x1FFF
        low = self.eighths[step]
        cents = (low * 8192 + (self.eighths[step + 1] - low) * part) * 100 >> 13
        if self.follows_room_rate:
            cents = cents * percent // 100
        if not self.odd_cents:
            cents = cents // 100 * 100
        return min(max(cents, 100), AMOUNT_CENTS_MAX)


# Percent of the yearly mean room rate, January to December: weddings and holidays in winter, the monsoon in between.
_SEASON: Final = (118, 108, 98, 92, 96, 82, 74, 76, 84, 106, 122, 138)


def season_percent(day: date) -> int:
    """What the month, and a weekend, do to room rates."""
    return _SEASON[day.month - 1] * (112 if _weekend(day) else 100) // 100


def tables(day: date) -> tuple[tuple[Category, ...], ...]:
    """Per hour of the day, 256 categories as common as they are at that hour."""
    return tuple(_hour_table(hour, weekend=_weekend(day)) for hour in range(24))


def hourly_weights(day: date) -> tuple[int, ...]:
    """How much of the day's business falls into each hour."""
    return tuple(sum(_weight(c, hour, weekend=_weekend(day)) for c in CATEGORIES) for hour in range(24))


def _weekend(day: date) -> bool:
    return day.weekday() >= _SATURDAY


def _weight(category: Category, hour: int, *, weekend: bool) -> int:
    return category.curve[hour] * (category.weekend_percent if weekend else 100)


def _hour_table(hour: int, *, weekend: bool) -> tuple[Category, ...]:
    weights = [_weight(category, hour, weekend=weekend) for category in CATEGORIES]
    total = sum(weights)
    table: list[Category] = []
    reached = 0
    for category, weight in zip(CATEGORIES, weights, strict=True):
        reached += weight
        table += [category] * (reached * 256 // total - len(table))
    return tuple(table)


def _texts(*texts: str) -> tuple[str, ...]:
    """Texts ready to stand in JSON; one %d in each takes a number."""
    return tuple(json.dumps(text, ensure_ascii=False) for text in texts)


CATEGORIES: Final = (
    Category(
        name="room",
        kind="revenue",
        eighths=(900, 1800, 2400, 3000, 3600, 4500, 6200, 9500, 60_000),
        #      0  1  2  3  4  5  6   7   8   9  10  11  12  13  14  15  16  17  18  19 20 21 22 23
        curve=(2, 1, 1, 1, 1, 3, 8, 22, 60, 78, 80, 62, 25, 40, 48, 44, 30, 16, 12, 10, 8, 6, 4, 3),
        weekend_percent=115,
        cash=70,
        follows_room_rate=True,
        odd_cents=False,
        descriptions=_texts("Room %d, check-out", "Room %d, advance", "कमरा %d", "அறை %d", "Room %d, late check-out"),
        references=("UPI/", "POS-", "NEFT "),
        source="pms",
    ),
    Category(
        name="restaurant",
        kind="revenue",
        eighths=(60, 180, 290, 420, 600, 850, 1300, 2300, 18_000),
        curve=(6, 2, 0, 0, 0, 1, 6, 22, 38, 30, 16, 18, 52, 70, 60, 26, 14, 14, 24, 52, 78, 74, 46, 20),
        weekend_percent=135,
        cash=110,
        follows_room_rate=False,
        odd_cents=True,
        descriptions=_texts(
            "Table %d", "Table %d, dinner", "मेज़ %d: दाल, रोटी, लस्सी", "Room service, room %d", "Café %d ☕"
        ),
        references=("UPI/", "UPI/", "POS-"),
        source="pos",
    ),
    Category(
        name="bar",
        kind="revenue",
        eighths=(150, 350, 520, 760, 1050, 1500, 2300, 3900, 22_000),
        curve=(14, 6, 2, 0, 0, 0, 0, 0, 0, 0, 0, 2, 6, 6, 4, 4, 6, 10, 20, 30, 36, 38, 36, 26),
        weekend_percent=160,
        cash=80,
        follows_room_rate=False,
        odd_cents=True,
        descriptions=_texts("Bar tab %d", "Pool bar, tab %d"),
        references=("POS-", "UPI/"),
        source="pos",
    ),
    Category(
        name="laundry",
        kind="revenue",
        eighths=(40, 90, 140, 190, 250, 330, 460, 700, 2500),
        curve=(0, 0, 0, 0, 0, 0, 1, 4, 10, 14, 14, 10, 6, 4, 4, 6, 8, 12, 10, 6, 2, 0, 0, 0),
        weekend_percent=90,
        cash=140,
        follows_room_rate=False,
        odd_cents=False,
        descriptions=_texts("Laundry, room %d", "ইস্ত্রি, রুম %d"),
        references=("UPI/",),
        source="pms",
    ),
    Category(
        name="spa",
        kind="revenue",
        eighths=(600, 1200, 1600, 2000, 2500, 3200, 4200, 6000, 25_000),
        curve=(0, 0, 0, 0, 0, 0, 0, 1, 3, 6, 8, 8, 6, 5, 6, 8, 9, 9, 8, 5, 2, 0, 0, 0),
        weekend_percent=150,
        cash=40,
        follows_room_rate=True,
        odd_cents=False,
        descriptions=_texts("Abhyanga, therapist %d", "Spa package %d"),
        references=("POS-", "UPI/"),
        source="mobile",
    ),
    Category(
        name="events",
        kind="revenue",
        eighths=(8_000, 20_000, 35_000, 55_000, 85_000, 140_000, 260_000, 500_000, 4_000_000),
        curve=(0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 4, 4, 3, 2, 2, 3, 4, 4, 3, 2, 1, 1, 0, 0),
        weekend_percent=190,
        cash=30,
        follows_room_rate=True,
        odd_cents=False,
        descriptions=_texts(
            'Banquet "Lotus", %d guests',
            "विवाह समारोह, %d अतिथि",
            "Conference, %d delegates\nGST invoice follows",
        ),
        references=("NEFT ", "RTGS "),
        source="web",
    ),
    Category(
        name="parking",
        kind="revenue",
        eighths=(20, 40, 50, 60, 80, 100, 150, 200, 600),
        curve=(1, 0, 0, 0, 0, 0, 2, 6, 12, 14, 12, 10, 10, 12, 12, 10, 10, 10, 12, 12, 8, 6, 4, 2),
        weekend_percent=130,
        cash=190,
        follows_room_rate=False,
        odd_cents=False,
        descriptions=_texts("Parking, ticket %d"),
        references=("UPI/",),
        source="mobile",
    ),
    Category(
        name="salaries",
        kind="expense",
        eighths=(6_000, 11_000, 14_000, 17_000, 20_000, 25_000, 33_000, 48_000, 220_000),
        curve=(0, 0, 0, 0, 0, 0, 0, 1, 4, 10, 12, 8, 3, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0),
        weekend_percent=20,
        cash=50,
        follows_room_rate=False,
        odd_cents=False,
        descriptions=_texts("Salary, employee %d", "वेतन, कर्मचारी %d"),
        references=("NEFT ", "IMPS "),
        source="web",
    ),
    Category(
        name="utilities",
        kind="expense",
        eighths=(500, 1500, 3000, 5500, 9000, 15_000, 28_000, 60_000, 450_000),
        curve=(0, 0, 0, 0, 0, 0, 0, 1, 3, 8, 9, 6, 3, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0),
        weekend_percent=30,
        cash=20,
        follows_room_rate=False,
        odd_cents=True,
        descriptions=_texts("Electricity, meter %d", "Water tanker %d", "Diesel for generator, %d l"),
        references=("NEFT ", "UPI/"),
        source="web",
    ),
    Category(
        name="food_supplies",
        kind="expense",
        eighths=(80, 400, 900, 1600, 2600, 4200, 7000, 14_000, 120_000),
        curve=(0, 0, 0, 0, 2, 14, 30, 34, 28, 18, 12, 8, 4, 3, 4, 8, 8, 4, 2, 1, 0, 0, 0, 0),
        weekend_percent=110,
        cash=170,
        follows_room_rate=False,
        odd_cents=True,
        descriptions=_texts("Vegetables, %d kg", "மீன் %d kg", "दूध %d लीटर", "ಕಾಫಿ ಪುಡಿ %d kg"),
        references=("UPI/",),
        source="mobile",
    ),
    Category(
        name="linen",
        kind="expense",
        eighths=(200, 700, 1300, 2000, 3000, 4600, 7500, 14_000, 90_000),
        curve=(0, 0, 0, 0, 0, 0, 1, 3, 6, 8, 8, 6, 3, 2, 2, 2, 1, 0, 0, 0, 0, 0, 0, 0),
        weekend_percent=60,
        cash=90,
        follows_room_rate=False,
        odd_cents=False,
        descriptions=_texts("Bed sheets, %d pieces", "Laundry contractor, %d kg"),
        references=("UPI/", "NEFT "),
        source="web",
    ),
    Category(
        name="maintenance",
        kind="expense",
        eighths=(100, 400, 800, 1400, 2200, 3600, 6500, 14_000, 250_000),
        curve=(0, 0, 0, 0, 0, 0, 1, 3, 8, 12, 14, 12, 6, 6, 8, 8, 6, 3, 1, 0, 0, 0, 0, 0),
        weekend_percent=70,
        cash=150,
        follows_room_rate=False,
        odd_cents=False,
        descriptions=_texts("Plumber, room %d", "AC service, unit %d", "బల్బులు %d"),
        references=("UPI/",),
        source="mobile",
    ),
    Category(
        name="commission",
        kind="expense",
        eighths=(90, 260, 400, 560, 760, 1050, 1600, 3000, 30_000),
        curve=(2, 1, 0, 0, 0, 0, 1, 3, 8, 14, 14, 12, 6, 4, 4, 4, 3, 2, 2, 2, 2, 2, 2, 2),
        weekend_percent=100,
        cash=0,
        follows_room_rate=True,
        odd_cents=True,
        descriptions=_texts("Channel commission, booking %d", "Travel agent %d"),
        references=("NEFT ",),
        source="import",
    ),
)
