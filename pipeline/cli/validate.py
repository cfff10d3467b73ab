"""folio validate: tells a producer what would be quarantined, and why, before it is sent."""

import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from cyclopts import Parameter

from pipeline import settings as settings_module
from pipeline.cli.output import Output
from pipeline.contract.validation import Line, judged_lines
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_OK
from pipeline.standard_input import opened
from schemas.codec import Rules
from schemas.reasons import MEANING, Reason
from schemas.topics import Feed

ONLY_THE_BOOKS_KNOW: Final = {
    Feed.EVENTS: (
        Reason.ORG_PAUSED,
        Reason.VERSION_CONFLICT,
        Reason.CURRENCY_MISMATCH,
        Reason.PROPERTY_UNKNOWN,
        Reason.DATABASE_REJECTED,
    ),
    Feed.CORRECTIONS: (
        Reason.ORG_PAUSED,
        Reason.CORRECTION_CONFLICT,
        Reason.PROPERTY_UNKNOWN,
        Reason.DATABASE_REJECTED,
    ),
}
_HOUR: Final = timedelta(hours=1)

Refused = tuple[int, Reason, str]  # number of the line, reason, detail
# Without it a lone hyphen would be read as an option.
Input = Annotated[Path, Parameter(allow_leading_hyphen=True)]


@dataclass(slots=True)
class Totals:
    """What was counted so far, and by which clock and rules."""

    topic: Feed
    appended_at: datetime
    rules: Rules
    accepted: int = 0
    reasons: Counter[Reason] = field(default_factory=Counter)

    @property
    def refused(self) -> int:
        return self.reasons.total()

    def counted(self, lines: Iterable[Line]) -> Iterator[Refused]:
        """Count every line; what is refused passes on as its number, reason and detail."""
        for line in lines:
            if line.refusal is None:
                self.accepted += 1
            else:
                self.reasons[line.refusal.reason] += 1
                yield line.number, line.refusal.reason, line.refusal.detail


def validate(
    file: Input,
    *,
    topic: Literal["finance-events", "balance-corrections"] = "finance-events",
    output: Output = "text",
) -> int:
    """Judge a file of records, a JSON document a line, as the workers would if they were appended now.

    Nothing is sent, and no server is asked. The bounds on time are those of the settings, against the clock of this
    machine. What only the books know is not found: another body under a booked version or correction_id, and a
    currency that is not the property's.

    Exit code 0: every line would be accepted. 1: some would be quarantined. 2: there was nothing to read.

    Parameters
    ----------
    file
        The file to read, line by line; - is standard input. Blank lines are skipped.
    topic
        The topic that the lines are meant for.
    output
        Text for people, or one JSON document; both are written as the lines are read.
    """
    settings = settings_module.load()
    rules = Rules(past_max=settings.rules.past_max, future_max=settings.rules.future_max)
    totals = Totals(Feed(topic), datetime.now(UTC), rules)
    try:
        with opened(file) as lines:
            refusals = totals.counted(judged_lines(lines, totals.topic, rules, totals.appended_at))
            {"text": _as_text, "json": _as_json}[output](refusals, totals)
    except BrokenPipeError:  # `| head` has seen enough; without this, the end of Python would complain about the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_CANNOT
    except OSError as error:
        print(f"folio validate: {file}: {error.strerror}; name a file that can be read, or -", file=sys.stderr)
        return EXIT_CANNOT
    if not totals.accepted and not totals.refused:
        print(f"folio validate: {file}: every line is blank, or there is none; nothing was judged", file=sys.stderr)
        return EXIT_CANNOT
    return EXIT_DIFFERENT if totals.refused else EXIT_OK


def _as_text(refusals: Iterable[Refused], totals: Totals) -> None:
    for number, reason, detail in refusals:
        print(f"line {number}: {reason}: {_printable(detail)}")
    judged = totals.accepted + totals.refused
    print(f"{judged:,} records for {totals.topic}: {totals.accepted:,} accepted, {totals.refused:,} refused")
    for reason, count in totals.reasons.most_common():
        print(f"{count:>12,}  {reason}: {MEANING[reason]}")
    print(
        f"judged as if appended at {totals.appended_at.isoformat(timespec='seconds')}, with times from "
        f"{totals.rules.past_max.days:,} days before to {totals.rules.future_max / _HOUR:g} hours after"
    )
    print(f"only the books can tell: {', '.join(ONLY_THE_BOOKS_KNOW[totals.topic])}")


def _printable(detail: str) -> str:
    # It may quote the producer: what would move a cursor, or end the line, is shown as an escape.
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in detail)


def _as_json(refusals: Iterable[Refused], totals: Totals) -> None:
    """One document, written while the lines are read: however many are refused, none is held."""
    sys.stdout.write('{"refusals":[')
    for index, (number, reason, detail) in enumerate(refusals):
        sys.stdout.write("," if index else "")
        sys.stdout.write(msgspec.json.encode({"line": number, "reason": reason, "detail": detail}).decode())
    rest = {
        "topic": totals.topic,
        "accepted": totals.accepted,
        "refused": totals.refused,
        "reasons": dict(totals.reasons.most_common()),
        "appended_at": totals.appended_at,
        "occurred_past_max_days": totals.rules.past_max.days,
        "occurred_future_max_hours": totals.rules.future_max / _HOUR,
        "only_the_books_can_tell": ONLY_THE_BOOKS_KNOW[totals.topic],
    }
    sys.stdout.write("]," + msgspec.json.encode(rest).decode().removeprefix("{") + "\n")
