"""Books with a history, for the tests that damage and rebuild them."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import pytest

from pipeline.rebuild.job import Means
from pipeline.rebuild.opening import means_of
from pipeline.rebuild.scope import Part
from pipeline.settings import Settings
from tests.batchers.conftest import books_database, ledger, make_ledger
from tests.support.ledger import Ledger

__all__ = ["books_database", "ledger", "make_ledger"]


class Open(Protocol):
    """Opens the means of a rebuild of the ledger's books."""

    def __call__(self, ledger: Ledger, *parts: Part, **options: Any) -> AbstractAsyncContextManager[Means]: ...


@pytest.fixture
def means() -> Open:
    """The means of a rebuild, with the ledger's clock."""

    @asynccontextmanager
    async def opened(ledger: Ledger, *parts: Part, **options: Any) -> AsyncIterator[Means]:
        reach = options.pop("reach", lambda _point: None)
        async with means_of(Settings(), ledger.url, parts or Part, ledger.clock, reach, **options) as found:
            yield found

    return opened
