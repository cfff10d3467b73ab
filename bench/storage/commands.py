"""Commands of the product, run as an operator runs them, and what they say in JSON."""

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
class Ran:
    """Seconds from its start, of the process, to its end; and the document that it printed."""

    seconds: float
    document: dict[str, Any]


async def folio(ground: Ground, *arguments: str, **overrides: str) -> Ran:
    """Run `folio ARGUMENTS --output json`; `overrides` name settings without FOLIO_.

    Raises CommandFailedError with its last line when it fails.
    """
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
    if process.returncode:
        told = [*errors.decode(errors="replace").strip().splitlines()[-1:], output.decode(errors="replace")[:_SHOWN]]
        raise CommandFailedError(f"folio {' '.join(arguments)} ended with {process.returncode}: {' '.join(told)}")
    return Ran(time.monotonic() - began, msgspec.json.decode(output, type=dict[str, Any]))
