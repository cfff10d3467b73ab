"""What a campaign was and what came of it: one line, a page, or a document for programs."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from tests.chaos.campaign import Results
from tests.chaos.trial import Outcome


def summary(results: Results) -> str:
    """The last line."""
    outcomes = [outcome for outcome in results.outcomes if outcome.failure is None]
    kinds = {outcome.strike.name for outcome in results.outcomes}
    pairs = sum("+" in kind for kind in kinds)
    seeds = {outcome.strike.seed for outcome in results.outcomes}
    slowest = max(outcomes, key=lambda outcome: outcome.recovery_seconds, default=None)
    takeovers = [outcome.takeover_seconds for outcome in outcomes if outcome.takeover_seconds is not None]
    parts = [
        f"{len(kinds) - pairs} kinds and {pairs} pairs of faults, {len(seeds)} seeds, {len(results.outcomes)} trials",
        f"{results.events:,} events reconciled, 0 differences" if outcomes else "nothing reconciled",
    ]
    if slowest is not None:
        parts.append(f"slowest recovery {slowest.recovery_seconds:.1f} s ({slowest.strike.name})")
    if takeovers:
        parts.append(f"slowest failover {max(takeovers):.1f} s")
    if results.not_run:
        parts.append(f"{len(results.not_run)} not run for want of time")
    return f"chaos: {', '.join(parts)}, {len(results.failed)} failed ({results.seconds / 60:.1f} min)"


def write(results: Results, path: Path) -> None:
    """JSON where the file is called so, else Markdown."""
    text = as_json(results) if path.suffix == ".json" else as_markdown(results)
    path.write_text(text, encoding="utf-8")


def as_json(results: Results) -> str:
    document = {
        "summary": summary(results),
        "events": results.events,
        "seconds": round(results.seconds, 1),
        "outcomes": [asdict(outcome) for outcome in results.outcomes],
        "not_run": [asdict(strike) for strike in results.not_run],
    }
    return json.dumps(document, indent=2) + "\n"


def as_markdown(results: Results) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield f"{summary(results)}"
    yield ""
    yield "| fault | trials | failed | events | recovery, median and slowest, s | failover, s | what it did, last |"
    yield "|---|---|---|---|---|---|---|"
    for kind in sorted({outcome.strike.name for outcome in results.outcomes}):
        yield _row(kind, [outcome for outcome in results.outcomes if outcome.strike.name == kind])
    for outcome in results.failed:
        yield ""
        yield f"Seed {outcome.strike.seed}, {outcome.strike.name}:"
        yield ""
        yield from (f"    {line}" for line in (outcome.failure or "").splitlines())
    if results.not_run:
        yield ""
        yield "Not run: " + ", ".join(f"{strike.name} (seed {strike.seed})" for strike in results.not_run)


def _row(kind: str, outcomes: Sequence[Outcome]) -> str:
    sound = [outcome for outcome in outcomes if outcome.failure is None]
    recoveries = [outcome.recovery_seconds for outcome in sound]
    takeovers = [outcome.takeover_seconds for outcome in sound if outcome.takeover_seconds is not None]
    recovery = f"{median(recoveries):.1f}, {max(recoveries):.1f}" if recoveries else ""
    takeover = f"{max(takeovers):.1f}" if takeovers else ""
    fired = sound[-1].fired if sound else ""
    sent, failed = sum(outcome.sent for outcome in sound), len(outcomes) - len(sound)
    return f"| {kind} | {len(outcomes)} | {failed} | {sent:,} | {recovery} | {takeover} | {fired} |"
