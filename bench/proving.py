"""`folio verify` after a scenario: fast and wrong is worth nothing."""

import msgspec

from bench.commands import ended
from bench.results import Proof
from bench.target import Ground


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
    found = await ended(ground, "verify")
    try:
        report = msgspec.json.decode(found.output, type=_Report)
    except msgspec.DecodeError:
        return Proof(None, f"folio verify ended with {found.code}: {found.last_words}", 0.0)
    if report.unproven:
        return Proof(None, f"cannot be proved: {report.unproven}", report.seconds, report.outcomes)
    compared = sum(report.compared.values())
    summary = f"{report.events:,} events folded, {compared:,} rows compared, {report.difference_count:,} differences"
    return Proof(report.difference_count, summary, report.seconds, report.outcomes)
