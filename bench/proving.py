"""`folio verify` after a scenario: fast and wrong is worth nothing."""

import asyncio
import sys
from typing import Final

import msgspec

from bench.results import Proof
from bench.target import Ground

_SECONDS_MAX: Final = 3_600.0


class _Report(msgspec.Struct):
    """What is read of the command's document."""

    difference_count: int
    exit_code: int
    seconds: float
    events: int
    outcomes: dict[str, int]
    compared: dict[str, int]
    unproven: str | None = None


async def prove(ground: Ground) -> Proof:
    """Run the real command, in a process of its own: it holds every event in memory, and lets go of it in the end."""
    command = (sys.executable, "-m", "pipeline.cli", "verify", "--output", "json")
    process = await asyncio.create_subprocess_exec(
        *command, env=ground.environment(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_SECONDS_MAX):
            output, errors = await process.communicate()
    finally:
        if process.returncode is None:  # nobody waits for it any more
            process.kill()
            await process.wait()
    try:
        report = msgspec.json.decode(output, type=_Report)
    except msgspec.DecodeError:
        tail = errors.decode(errors="replace").strip().splitlines()[-1:]
        return Proof(None, f"folio verify ended with {process.returncode}: {' '.join(tail)}", 0.0)
    if report.unproven:
        return Proof(None, f"cannot be proved: {report.unproven}", report.seconds, report.outcomes)
    compared = sum(report.compared.values())
    summary = f"{report.events:,} events folded, {compared:,} rows compared, {report.difference_count:,} differences"
    return Proof(report.difference_count, summary, report.seconds, report.outcomes)
