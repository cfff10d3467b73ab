"""Which balances people look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate
from random import Random
from typing import NamedTuple

from bench.workload import Workload

_CHUNK = 4_096  # draws at a time


class Place(NamedTuple):
    """A balance: organisation, property, day."""

    org_id: int
    property_id: int
    day: date


@dataclass(frozen=True, slots=True)
class Mix:
    """Organisations as they trade (the larger one is looked at more often); of today, or of the days before."""

    orgs: int
    properties_per_org: int
    zipf_exponent: float
    today: date
    today_share: float
    past_days: int  # so many days before today, each as likely
    seed: int = 11

    def places(self) -> Iterator[Place]:
        """Endless."""
        choice = Random(self.seed)  # noqa: S311 - reproducible, not secret
        numbers = range(1, self.orgs + 1)
        weights = list(accumulate(number**-self.zipf_exponent for number in numbers))
        while True:
            for org_id in choice.choices(numbers, cum_weights=weights, k=_CHUNK):
                property_id = org_id * 100 + choice.randint(1, self.properties_per_org)
                back = 0 if choice.random() < self.today_share else choice.randint(1, self.past_days)
                yield Place(org_id, property_id, self.today - timedelta(days=back))


def every_place(workload: Workload, back: int) -> Iterator[Place]:
    """Each property once, on the day so many days before today."""
    day = workload.today - timedelta(days=back)
    for org_id in range(1, workload.orgs + 1):
        for number in range(1, workload.properties_per_org + 1):
            yield Place(org_id, org_id * 100 + number, day)
