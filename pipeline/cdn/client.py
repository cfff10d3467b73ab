"""One request to a CDN: forget what carries these tags."""

import asyncio
from collections.abc import Sequence
from typing import Final

import httpx

from pipeline.errors import CdnUnavailable
from pipeline.settings_serving import CdnSettings

_METHOD: Final = "PURGE"
_HEADER: Final = "Surrogate-Key"  # tags are named by the header that answers carry them in


class CdnClient:
    """Keeps its connections between requests."""

    def __init__(self, url: str, settings: CdnSettings) -> None:
        self._url = url
        self._seconds_max = settings.timeout_seconds
        # The environment's proxies are for others: a purge that goes astray is one that nobody misses.
        self._client = httpx.AsyncClient(timeout=settings.timeout_seconds, trust_env=False)

    async def purge(self, tags: Sequence[str]) -> None:
        """Returns when the CDN says that it has. Raises CdnUnavailable."""
        try:
            # The library's own timeouts are for each read: an answer that drips would be waited for without end.
            async with asyncio.timeout(self._seconds_max):
                answer = await self._client.request(_METHOD, self._url, headers={_HEADER: " ".join(tags)})
        except (httpx.HTTPError, TimeoutError) as error:
            raise CdnUnavailable(f"purging at {self._url}: {type(error).__name__}: {error}") from error
        if answer.status_code != httpx.codes.OK:
            raise CdnUnavailable(
                f"purging at {self._url}: answered {answer.status_code}; it must let this machine purge (its ACL)"
            )

    async def close(self) -> None:
        await self._client.aclose()
