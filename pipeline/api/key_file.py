"""Public keys that change while the server runs: whoever issues tokens takes new keys without a restart of ours."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import jwt
import structlog

from pipeline.api.metrics import ApiMetrics
from pipeline.api.tokens import Tokens, read_keys
from pipeline.errors import SettingsRefused

log = structlog.get_logger()
_Stamp = tuple[int, int, int]
_ABSENT: Final[_Stamp] = (0, 0, 0)


class KeyFile:
    """Looks at the file now and then, and reads it when it is another one.

    A new set replaces the former one: a key that it lacks opens nothing any more, also where its token was verified
    before. A file that is broken or gone changes nothing: the former keys stay, until there is one that can be read.
    """

    def __init__(self, path: Path, tokens: Tokens, check_seconds: float, metrics: ApiMetrics) -> None:
        self._path = path
        self._tokens = tokens
        self._check_seconds = check_seconds
        self._metrics = metrics
        self._seen = _stamp(path)

    async def run(self) -> None:
        """Ends by being cancelled."""
        while True:
            await asyncio.sleep(self._check_seconds)
            await self.look()

    async def look(self) -> None:
        """Once for each change: what could not be read is not tried again before it changes."""
        try:
            keys = await asyncio.to_thread(self._changed)  # a disk may hang, and nobody should with it
        except SettingsRefused as error:
            self._metrics.key_reads.labels("refused").inc()
            log.error("new public keys are refused, the former ones stay", error=str(error))
            return
        if keys is not None:
            self._tokens.trust(keys)
            self._metrics.key_reads.labels("accepted").inc()
            log.info("public keys were changed", keys=sorted(keys))

    def _changed(self) -> Mapping[str, jwt.PyJWK] | None:
        stamp = _stamp(self._path)  # before it is read: whoever writes on meanwhile makes it another one
        if stamp == self._seen:
            return None
        self._seen = stamp
        return read_keys(self._path)


def _stamp(path: Path) -> _Stamp:
    """What tells one file from another. Links are followed: secrets of Kubernetes change by exchanging one."""
    try:
        found = path.stat()
    except OSError:
        return _ABSENT
    return found.st_mtime_ns, found.st_size, found.st_ino
