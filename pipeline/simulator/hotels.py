"""The hotels: who exists, how big, how busy. The same hotels every day, whatever the dice of the day say."""

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import Final

from pipeline.simulator.plan import Plan

# Bounded, since a plan may name ten million organisations. The busy ones come again and again: about 16 MB.
_ORGS_KEPT: Final = 1 << 14
_MASK: Final = (1 << 64) - 1
_SLOTS: Final = 16

# Sixteenths of a log-normal around 34 rooms: many guest houses, few palaces.
_ROOMS: Final = (8, 11, 14, 17, 20, 23, 26, 30, 34, 39, 45, 53, 64, 80, 105, 160, 400)


@dataclass(frozen=True, slots=True)
class Hotel:
    """One property. `rate_percent` is how dear it is, compared with a plain hotel."""

    property_id: int
    rooms: int
    rate_percent: int


@dataclass(frozen=True, slots=True)
class Org:
    """A tenant and its hotels. `slots` holds each hotel as often as its size earns business, at least once."""

    org_id: int
    key: bytes
    hotels: tuple[Hotel, ...]
    slots: tuple[Hotel, ...]


class Population:
    """All organisations of a plan, made when they are first met.

    Popularity follows Zipf's law with exponent 0.8: of a thousand organisations the first has 5% of the business.
    """

    def __init__(self, plan: Plan) -> None:
        self._orgs = plan.orgs
        # Inverse of the distribution x^-0.8 on [1, orgs + 1): x = (1 + u (c - 1))^5 with c = (orgs + 1)^(1/5).
        self._spread = _fifth_root(plan.orgs + 1) - 1.0
        self._step = _coprime_step(plan.orgs)
        weights = plan.property_weights
        self._org = lru_cache(maxsize=_ORGS_KEPT)(lambda org_id: org_of(org_id, weights))

    def pick(self, u: float) -> Org:
        """The organisation at `u` in [0, 1): by popularity, with the popular ones spread over the ids."""
        x = 1.0 + u * self._spread
        rank = min(int(x * x * x * x * x) - 1, self._orgs - 1)
        return self._org(rank * self._step % self._orgs + 1)


def org_of(org_id: int, property_weights: tuple[int, ...]) -> Org:
    """An organisation as it always is: a function of its id alone."""
    bits = _mixed(org_id)
    count = _count(bits >> 48, property_weights)
    hotels = tuple(_hotel(org_id, index) for index in range(count))
    return Org(org_id, b"%d" % org_id, hotels, _slots(hotels))


def _hotel(org_id: int, index: int) -> Hotel:
    property_id = org_id * 10 + index + 1
    bits = _mixed(property_id ^ 0x5F0F)
    step, part = (bits & 0xFFFF) >> 12, bits & 0xFFF
    rooms = _ROOMS[step] + ((_ROOMS[step + 1] - _ROOMS[step]) * part >> 12)
    # Big hotels are dearer, and some small ones are too.
    return Hotel(property_id, rooms, 60 + rooms // 3 + ((bits >> 16) & 0x7F))


def _slots(hotels: tuple[Hotel, ...]) -> tuple[Hotel, ...]:
    if len(hotels) == 1:
        return hotels * _SLOTS
    rooms = sum(hotel.rooms for hotel in hotels)
    slots = [hotel for hotel in hotels for _ in range(max(1, hotel.rooms * _SLOTS // rooms))]
    largest = max(hotels, key=lambda hotel: hotel.rooms)
    return tuple((slots + [largest] * _SLOTS)[:_SLOTS]) if len(slots) <= _SLOTS else _trimmed(slots, largest)


def _trimmed(slots: list[Hotel], largest: Hotel) -> tuple[Hotel, ...]:
    while len(slots) > _SLOTS:
        slots.remove(largest)
    return tuple(slots)


def _count(bits: int, weights: tuple[int, ...]) -> int:
    left = bits % sum(weights)
    for index, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return index + 1
    raise AssertionError("left is below the sum of the weights")


def _mixed(number: int) -> int:
    """SplitMix64 (Steele, Lea, Flood 2014): neighbouring numbers become unlike each other."""
    z = (number * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return z ^ (z >> 31)


def _fifth_root(number: int) -> float:
    """By whole numbers, since pow() differs in the last bit between platforms."""
    scaled = number << 200
    root = 0
    for bit in range(1 << 6, -1, -1):
        if (root | 1 << bit) ** 5 <= scaled:
            root |= 1 << bit
    return root / (1 << 40)


def _coprime_step(orgs: int) -> int:
    # About the golden section, so that popular organisations lie far apart; coprime, so that each rank has its own.
    step = orgs * 618 // 1000 or 1
    while gcd(step, orgs) != 1:
        step += 1
    return step
