"""Where the replicas are, and which organisations read from which of them: the text of two settings.

FOLIO_REPLICA_URLS is `[POOL=]URL[,[POOL=]URL…]`, a pool being the name of a group of replicas. FOLIO_REPLICA_ORG_RANGES
is `FIRST-LAST=POOL,…,FIRST-=POOL`: every organisation in one range, the last one open.
"""

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from pipeline.addresses import checked_database

DEFAULT_POOL: Final = "default"
_NAME: Final = r"[a-z][a-z0-9_]{0,30}"
# A URL may name several hosts, between commas too: only what begins another address separates two.
_SEPARATOR: Final = re.compile(rf",\s*(?=(?:{_NAME}=)?postgres(?:ql)?://)")
_REPLICA: Final = re.compile(rf"(?:(?P<pool>{_NAME})=)?(?P<url>postgres(?:ql)?://.*)")
_RANGE: Final = re.compile(rf"(?P<first>[0-9]{{1,18}})-(?P<last>[0-9]{{1,18}})?=(?P<pool>{_NAME})")


@dataclass(frozen=True, slots=True)
class ReplicaAddress:
    """One replica, and the group that it belongs to."""

    pool: str
    url: str


@dataclass(frozen=True, slots=True)
class OrgRange:
    """Organisations from `first` to `last`, both included; the last range has no end."""

    first: int
    last: int | None
    pool: str

    def __contains__(self, org_id: int) -> bool:
        return self.first <= org_id and (self.last is None or org_id <= self.last)


def checked_replicas(text: str | None) -> str | None:
    """The same text. Raises ValueError unless `replica_addresses` can read it; never with it: it has passwords."""
    replica_addresses(text or "")
    return text


def checked_ranges(text: str | None) -> str | None:
    """The same text. Raises ValueError unless `org_ranges` can read it."""
    org_ranges(text or "")
    return text


def replica_addresses(text: str) -> tuple[ReplicaAddress, ...]:
    """The replicas, in their order. Raises ValueError."""
    if not text.strip():
        return ()
    return tuple(_replica(number, each) for number, each in enumerate(_SEPARATOR.split(text.strip()), 1))


def org_ranges(text: str) -> tuple[OrgRange, ...]:
    """The ranges in ascending order; none: every organisation reads from every replica. Raises ValueError."""
    if not text.strip():
        return ()
    ranges = sorted((_range(each.strip()) for each in text.split(",")), key=lambda each: each.first)
    if ranges[0].first > 1:
        raise ValueError(f"organisations 1-{ranges[0].first - 1} are in no range")
    for before, after in pairwise(ranges):
        if before.last is None or before.last >= after.first:
            raise ValueError(f"organisation {after.first} is in two ranges: {before.pool} and {after.pool}")
        if before.last + 1 < after.first:
            raise ValueError(f"organisations {before.last + 1}-{after.first - 1} are in no range")
    if ranges[-1].last is not None:
        raise ValueError(
            f"organisations from {ranges[-1].last + 1} on are in no range; leave the last one open: FIRST-=POOL"
        )
    return tuple(ranges)


def check_together(replicas: tuple[ReplicaAddress, ...], ranges: tuple[OrgRange, ...]) -> None:
    """Raises ValueError unless each range has a replica, and each replica a range."""
    if not ranges:
        return
    with_replicas, with_orgs = {each.pool for each in replicas}, {each.pool for each in ranges}
    if with_orgs - with_replicas:
        raise ValueError(f"pool {', '.join(sorted(with_orgs - with_replicas))} has organisations and no replica")
    if with_replicas - with_orgs:
        raise ValueError(f"pool {', '.join(sorted(with_replicas - with_orgs))} has replicas and no organisation")


def _replica(number: int, text: str) -> ReplicaAddress:
    found = _REPLICA.fullmatch(text.strip())
    if found is None or found["url"].count("://") > 1:
        raise ValueError(f"replica {number}: [POOL=]postgresql://… is expected")
    try:
        checked_database(found["url"])
    except ValueError as error:
        raise ValueError(f"replica {number}: {error}") from error
    return ReplicaAddress(found["pool"] or DEFAULT_POOL, found["url"])


def _range(text: str) -> OrgRange:
    found = _RANGE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r}: FIRST-LAST=POOL or FIRST-=POOL is expected")
    first, last = int(found["first"]), int(found["last"]) if found["last"] else None
    if last is not None and last < first:
        raise ValueError(f"{text!r}: the range ends before it begins")
    return OrgRange(first, last, found["pool"])
