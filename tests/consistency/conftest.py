"""Books with a history, for the tests that damage and check them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pipeline.consistency.job import Means
from pipeline.consistency.opening import means_of
from pipeline.settings import ConsistencySettings, Settings
from tests.batchers.conftest import books_database, ledger, make_ledger
from tests.support.ledger import Ledger

__all__ = ["books_database", "ledger", "make_ledger"]

Open = Callable[..., AbstractAsyncContextManager[Means]]


@pytest.fixture
def means() -> Open:
    """The means of a check, with the ledger's clock; options are settings of the section `consistency`."""

    @asynccontextmanager
    async def opened(ledger: Ledger, **options: int) -> AsyncIterator[Means]:
        settings = Settings(consistency=ConsistencySettings(**options))
        async with means_of(settings, ledger.url, ledger.clock, lambda _point: None) as found:
            yield found

    return opened
