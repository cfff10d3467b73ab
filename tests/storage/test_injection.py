"""Whatever stands in a text parameter is refused or is a text: no repository builds SQL from what it is given."""

import inspect
from collections.abc import Callable
from typing import Any, Final, get_type_hints

import asyncpg
import pytest

from pipeline.errors import PipelineError, ReadRefused, SettingsRefused
from pipeline.settings import load
from pipeline.storage.intent import Read
from pipeline.storage.readers import DirectReaders
from pipeline.storage.values import Kind
from tests.storage.conftest import Repositories
from tests.support.events import TODAY
from tests.support.ledger import Ledger

READ: Final = Read()
# The classes that people have found elsewhere: closing a quote, stacking, comments, unions, casts, escapes, encodings.
ATTEMPTS: Final = (
    "revenue'",
    "revenue' OR '1'='1",
    "revenue'; DROP TABLE finance.properties; --",
    "revenue' UNION SELECT usename, passwd FROM pg_shadow --",
    "revenue\\'; SELECT pg_sleep(9); --",
    "revenue/**/OR/**/1=1",
    "$1",
    "$$; DELETE FROM ops.lanes; $$",
    "revenue\x00",
    "revenue\ud800",
    "revenue%27",
    "REVENUE",
    "revenues_partitioned",
    'revenue" OR ""="',
    "{revenue}",
    "\u02bc OR 1=1",  # an apostrophe that some encodings make a quote of
    "E'\\047'",
    "",
    "revenue" * 10_000,
)


@pytest.mark.parametrize("attempt", ATTEMPTS, ids=range(len(ATTEMPTS)))
async def test_a_kind_is_one_of_two_and_nothing_else(attempt: Any, ledger: Ledger, repositories: Repositories) -> None:
    await ledger.commit(ledger.event(1))
    calls: list[Callable[[], Any]] = [
        lambda: repositories.transactions.by_id(1, attempt, 1, intent=READ),
        lambda: repositories.transactions.history(1, attempt, 1, intent=READ, limit=5),
        lambda: repositories.transactions.of_day(1, 1, TODAY, attempt, intent=READ, limit=5),
    ]
    for call in calls:
        with pytest.raises(ReadRefused, match="no kind of transaction"):
            await call()
    assert await ledger.value("SELECT count(*) FROM finance.properties") == 1


def test_no_other_parameter_of_a_repository_is_a_text(repositories: Repositories) -> None:
    """Whoever adds one adds it to the attempts."""
    texts = set()
    for repository in (repositories.balances, repositories.transactions, repositories.reports, repositories.as_of):
        for name, method in inspect.getmembers(type(repository), inspect.isfunction):
            if not name.startswith("_"):
                hints = get_type_hints(method)
                texts |= {(name, each) for each, hint in hints.items() if hint is str or hint == Kind}
    assert texts == {("by_id", "kind"), ("history", "kind"), ("of_day", "kind")}


@pytest.mark.parametrize("attempt", ["'; DROP ROLE folio_reader; --", "folio_reader' --", "nobody"])
async def test_a_role_is_a_name(attempt: str, pool: asyncpg.Pool) -> None:
    async def nothing(connection: asyncpg.Connection) -> None:
        return

    with pytest.raises(PipelineError):
        await DirectReaders(pool, role=attempt).read(1, READ, nothing)


@pytest.mark.parametrize("attempt", ["1 OR 1=1", "1,'", "0", "-1", str(2**63), "1,,2"])
def test_the_setting_of_organisations_takes_numbers_alone(attempt: str) -> None:
    with pytest.raises(SettingsRefused, match="organisations are named by number"):
        load({"FOLIO_FLAGS_LOG_PARTITION_ROUTING_ORGS": attempt})
