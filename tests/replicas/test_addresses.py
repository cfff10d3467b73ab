"""The text of FOLIO_REPLICA_URLS and FOLIO_REPLICA_ORG_RANGES: what is read from it, and what is refused."""

import pytest

from pipeline.endpoints import resolve
from pipeline.errors import SettingsRefused
from pipeline.replica_addresses import (
    DEFAULT_POOL,
    OrgRange,
    ReplicaAddress,
    check_together,
    org_ranges,
    replica_addresses,
)
from pipeline.settings import load
from pipeline.storage.replicas.opening import expected_replicas

URLS = "near=postgresql://r@one,two/d?sslmode=verify-full, far=postgresql://r:p%40ss@three:6432/d,postgres://four/d"
SERVERS = {
    "FOLIO_DATABASE_URL": "postgresql://p/d",
    "FOLIO_KAFKA_BOOTSTRAP": "b:1",
    "FOLIO_REDIS_URL": "redis://c/0",
}


def test_replicas_with_and_without_a_pool_one_of_them_with_two_hosts() -> None:
    assert replica_addresses(URLS) == (
        ReplicaAddress("near", "postgresql://r@one,two/d?sslmode=verify-full"),
        ReplicaAddress("far", "postgresql://r:p%40ss@three:6432/d"),
        ReplicaAddress(DEFAULT_POOL, "postgres://four/d"),
    )
    assert replica_addresses(" ") == ()


@pytest.mark.parametrize("text", ["redis://x/0", "postgresql://a/d,redis://x/0", "Near=postgresql://a/d", "a,b"])
def test_what_is_no_replica_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="replica 1"):
        replica_addresses(text)


def test_a_refused_address_is_not_repeated() -> None:
    with pytest.raises(SettingsRefused) as refused:
        load({"FOLIO_REPLICA_URLS": "postgresql://r:p@ss:s3cret@x/d"})
    assert "FOLIO_REPLICA_URLS" in str(refused.value)
    assert "s3cret" not in str(refused.value)


def test_ranges_in_any_order() -> None:
    ranges = org_ranges("1000000-=far, 0-999999=near")
    assert ranges == (OrgRange(0, 999_999, "near"), OrgRange(1_000_000, None, "far"))
    assert [next(each.pool for each in ranges if org in each) for org in (1, 999_999, 1_000_000, 2**62)] == [
        "near",
        "near",
        "far",
        "far",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1-10=a,10-=b", "organisation 10 is in two ranges: a and b"),
        ("1-=a,10-=b", "organisation 10 is in two ranges: a and b"),
        ("1-10=a,12-=b", "organisations 11-11 are in no range"),
        ("5-=a", "organisations 1-4 are in no range"),
        ("1-10=a", "organisations from 11 on are in no range; leave the last one open"),
        ("10-1=a,11-=a", "ends before it begins"),
        ("1-10", "FIRST-LAST=POOL or FIRST-=POOL is expected"),
        ("1-x=a", "FIRST-LAST=POOL or FIRST-=POOL is expected"),
    ],
)
def test_ranges_that_leave_a_doubt_are_refused_by_the_setting(text: str, words: str) -> None:
    with pytest.raises(SettingsRefused, match="FOLIO_REPLICA_ORG_RANGES") as refused:
        load({"FOLIO_REPLICA_ORG_RANGES": text})
    assert words in str(refused.value)


def test_every_pool_has_replicas_and_organisations() -> None:
    replicas, ranges = replica_addresses(URLS), org_ranges("0-9=near,10-19=far,20-=default")
    check_together(replicas, ranges)
    check_together(replicas, ())
    with pytest.raises(ValueError, match="pool far has organisations and no replica"):
        check_together(replicas[::2], ranges)
    with pytest.raises(ValueError, match="pool far has replicas and no organisation"):
        check_together(replicas, org_ranges("0-9=near,10-=default"))


def test_another_number_of_replicas_than_expected_is_refused() -> None:
    settings = load(SERVERS | {"FOLIO_REPLICA_URLS": URLS, "FOLIO_REPLICA_COUNT": "2"})
    with pytest.raises(SettingsRefused, match="FOLIO_REPLICA_COUNT=2, and FOLIO_REPLICA_URLS names 3"):
        expected_replicas(settings, resolve(settings))


def test_pools_that_do_not_match_the_ranges_are_refused() -> None:
    settings = load(SERVERS | {"FOLIO_REPLICA_URLS": URLS, "FOLIO_REPLICA_ORG_RANGES": "0-=near"})
    with pytest.raises(SettingsRefused, match="FOLIO_REPLICA_ORG_RANGES: pool default, far has replicas"):
        expected_replicas(settings, resolve(settings))


def test_a_database_of_somebody_elses_has_no_replicas_of_the_stack() -> None:
    assert resolve(load(SERVERS)).replica_urls == ()
