"""Commands of the product, run as an operator runs them, each in a process of its own."""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from bench.target import Ground

_SECONDS_MAX: Final = 3_600.0
_SHOWN: Final = 2_000  # characters of a document that says why


class CommandFailedError(Exception):
    """A command ended with a code that is no answer."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it had printed."""

    code: int
    output: bytes
    errors: bytes
    seconds: float  # from the start of its process to the end

    @property
    def last_words(self) -> str:
        """The last line of what it said went wrong."""
        return " ".join(self.errors.decode(errors="replace").strip().splitlines()[-1:])


@dataclass(frozen=True, slots=True)
class Ran:
    """How long a command took, in seconds of its process, and the document that it printed."""

    seconds: float
    document: dict[str, Any]


async def ended(ground: Ground, *arguments: str, **overrides: str) -> Ended:
    """Run `folio ARGUMENTS --output json`; `overrides` name settings without FOLIO_."""
    command = (sys.executable, "-m", "pipeline.cli", *arguments, "--output", "json")
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *command, env=ground.environment(**overrides), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    return Ended(process.returncode or 0, output, errors, time.monotonic() - began)


async def folio(ground: Ground, *arguments: str, **overrides: str) -> Ran:
    """As `ended`, for a command that must succeed. Raises CommandFailedError with what it said."""
    found = await ended(ground, *arguments, **overrides)
    if found.code:
        shown = found.output.decode(errors="replace")[:_SHOWN]
        raise CommandFailedError(f"folio {' '.join(arguments)} ended with {found.code}: {found.last_words} {shown}")
    return Ran(found.seconds, msgspec.json.decode(found.output, type=dict[str, Any]))
