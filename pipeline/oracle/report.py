"""What a reconciliation found, as a value, as text and as JSON."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Final

from pipeline.oracle.compare_days import BALANCES
from pipeline.oracle.findings import Difference

PROVED: Final = 0
DIFFERENT: Final = 1
UNPROVEN: Final = 2


@dataclass(frozen=True, slots=True)
class Report:
    """What a reconciliation found; `differences` holds the first of each kind, the counts count all."""

    events: int = 0
    corrections: int = 0  # records of their topic, whatever became of them
    adjustments: int = 0  # that corrections became
    outcomes: Mapping[str, int] = field(default_factory=dict)
    compared: Mapping[str, int] = field(default_factory=dict)
    difference_counts: Mapping[str, int] = field(default_factory=dict)
    differences: tuple[Difference, ...] = ()
    taken_on_trust: int = 0  # records that the database rejected
    balances_not_compared: int = 0  # with their updates: every one of them has expired
    orgs_on_several_lanes: int = 0
    unproven: str | None = None
    seconds: float = 0.0

    @property
    def difference_count(self) -> int:
        """Every difference, shown or not."""
        return sum(self.difference_counts.values())

    @property
    def exit_code(self) -> int:
        """0: proved; 1: different; 2: it could not be proved."""
        if self.unproven:
            return UNPROVEN
        return DIFFERENT if self.difference_count else PROVED

    @property
    def summary(self) -> str:
        """One line. What was taken on trust is in it: who reads 0 differences reads no further."""
        if self.unproven:
            return f"reconciliation: cannot be proved: {self.unproven}"
        balances = self.compared.get(BALANCES, 0)
        return (
            f"reconciliation: {_counted(self.events, 'event')}, "
            + (f"{_counted(self.corrections, 'correction')}, " if self.corrections else "")
            + f"{_counted(balances, 'balance')}, {_counted(self.difference_count, 'difference')}"
            + (f"; {_counted(self.taken_on_trust, 'record')} taken on trust" if self.taken_on_trust else "")
        )


def as_json(report: Report, differences_max: int) -> str:
    """The report as one JSON document."""
    document = asdict(report)
    document["differences"] = [asdict(difference) for difference in report.differences[:differences_max]]
    document |= {"difference_count": report.difference_count, "exit_code": report.exit_code}
    return json.dumps(document, default=_plain, indent=2)


def as_text(report: Report, differences_max: int) -> str:
    """The report for people; its last line is the summary."""
    return "\n".join(_lines(report, differences_max))


def _lines(report: Report, differences_max: int) -> Iterator[str]:
    if not report.unproven:
        yield f"folded {_counted(report.events, 'event')} in {report.seconds:.1f} s"
        adjustments = _counted(report.adjustments, "adjustment")
        yield f"  and {_counted(report.corrections, 'correction')}, which made {adjustments}"
        yield "  " + ", ".join(f"{name} {count:,}" for name, count in report.outcomes.items())
        yield "compared"
        for kind, count in report.compared.items():
            yield f"  {kind:<14}{count:>12,}{report.difference_counts.get(kind, 0):>10,} different"
        yield from _assumptions(report)
        yield from _differences(report, differences_max)
    yield report.summary


def _assumptions(report: Report) -> Iterator[str]:
    if report.taken_on_trust:
        yield (
            f"taken on trust: {_counted(report.taken_on_trust, 'record')} that the database rejected; "
            "see ops.dead_letters, reason database_rejected"
        )
    if report.balances_not_compared:
        yield (
            f"not compared with their updates: {_counted(report.balances_not_compared, 'balance')} "
            "of which realtime-updates holds none any more"
        )
    if report.orgs_on_several_lanes:
        yield (
            f"orgs on several lanes: {report.orgs_on_several_lanes:,}; the order among their lanes only the event "
            "store tells: it was taken from there"
        )


def _differences(report: Report, differences_max: int) -> Iterator[str]:
    shown = report.differences[:differences_max]
    for difference in shown:
        yield f"different: {difference.kind}, {_pairs(difference.key)}"
        yield f"  expected {_pairs(difference.expected)}"
        yield f"  actual   {_pairs(difference.actual)}"
    if report.difference_count > len(shown):
        yield f"… and {report.difference_count - len(shown):,} more"


def _pairs(fields: Mapping[str, object] | None) -> str:
    if fields is None:
        return "nothing"
    return ", ".join(f"{name} {_plain(value)}" for name, value in fields.items())


def _plain(value: object) -> object:
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if isinstance(value, date | datetime) else value


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
