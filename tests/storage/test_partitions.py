"""Which partitions a read is told to touch, and the flags of the source."""

from datetime import date

import pytest
from structlog.testing import capture_logs

from pipeline.errors import SettingsRefused
from pipeline.settings import load
from pipeline.storage.intent import Read
from pipeline.storage.partitions import RoutingLog, routing_log, transactions_of_day
from pipeline.storage.readers import Readers
from pipeline.storage.reading import Reads
from tests.storage.conftest import Repositories, repositories_of
from tests.support.events import TODAY


@pytest.mark.parametrize(
    ("day", "months"),
    [
        (date(2026, 3, 10), ["2026_03"]),
        (date(2026, 3, 1), ["2026_02", "2026_03"]),
        (date(2026, 2, 28), ["2026_02", "2026_03"]),
        (date(2026, 12, 31), ["2026_12", "2027_01"]),
        (date.min, ["0001_01"]),
        (date.max, ["9999_12"]),
    ],
)
def test_a_day_lies_in_one_month_or_two(day: date, months: list[str]) -> None:
    assert list(transactions_of_day("revenues", day)) == [f"finance.revenues_{month}" for month in months]


@pytest.mark.parametrize(
    ("routing", "told"),
    [(RoutingLog(), []), (RoutingLog(every_org=True), [1, 2]), (RoutingLog(orgs=frozenset({2})), [2])],
)
async def test_reads_are_told_of_for_every_organisation_or_for_some(
    routing: RoutingLog, told: list[int], repositories: Repositories
) -> None:
    readers: Readers = repositories.reads._readers
    balances = repositories_of(Reads(readers, routing)).balances
    with capture_logs() as logs:
        for org in (1, 2):
            await balances.of_day(org, 1, TODAY, intent=Read())
    assert [(line["query"], line["org_id"]) for line in logs] == [("balance_of_day", org) for org in told]
    assert all(line["partitions"] for line in logs)


def test_the_settings_say_of_whom() -> None:
    flags = load({"FOLIO_FLAGS_LOG_PARTITION_ROUTING_ORGS": "7,12"}).flags
    assert routing_log(flags) == RoutingLog(every_org=False, orgs=frozenset({7, 12}))
    assert routing_log(load({"FOLIO_FLAGS_LOG_PARTITION_ROUTING": "true"}).flags).every_org


@pytest.mark.parametrize(
    ("name", "reason"),
    [("USE_PARTITIONED_TABLES", "no legacy tables to read"), ("ENABLE_PARTITION_ROUTING", "PostgreSQL prunes")],
)
def test_a_flag_that_would_do_nothing_is_refused(name: str, reason: str) -> None:
    load({f"FOLIO_FLAGS_{name}": "true"})
    with pytest.raises(SettingsRefused, match=f"FOLIO_FLAGS_{name}='false' is refused: .*{reason}"):
        load({f"FOLIO_FLAGS_{name}": "false"})
