"""A real `folio serve` behind a real Varnish, and workers that purge there."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pipeline.stack.ports import choose
from tests.api.conftest import Served, issuer, served, servers
from tests.cdn.varnish import Varnish, varnish
from tests.support.stream import Stream

__all__ = ["issuer", "served", "servers"]

Fronted = Callable[..., AbstractAsyncContextManager[Varnish]]


@pytest.fixture
def fronted(stream: Stream, served: Served) -> Fronted:
    """The server, and the Varnish before it; the stream's commands are told of it."""

    @asynccontextmanager
    async def fronting(**overrides: str) -> AsyncIterator[Varnish]:
        port = choose("varnish", None, (), ())
        stream.overrides["CDN_PURGE_URL"] = f"http://127.0.0.1:{port}/"
        async with served(**overrides) as origin:
            with varnish(stream.folder / "varnish", port, backend=origin.base_url.port or 0) as front:
                yield front

    return fronting
