"""The page about dead letters, with the catalogue made from its definition: `python -m pipeline.reasons_reference`."""

import sys
from collections.abc import Iterator, Mapping
from typing import Final

from pipeline.dead_letters.planning import COUNT_HEADER, FROM_HEADER, NEEDS_THE_BOOKS, WHY_MEANING
from pipeline.dead_letters.redriving import PAGE_ROWS_MAX
from schemas.dead_letters import HEADER_MEANING, OMITTED_HEADER
from schemas.reasons import MEANING, Reason

WHO_ACTS: Final[Mapping[Reason, str]] = {
    Reason.TOO_LARGE: "The producer: send smaller events.",
    Reason.EMPTY: "The producer: delete a transaction with an event of type `*.deleted`, not with a tombstone.",
    Reason.MALFORMED: "The producer: mend the encoding, and send the event again.",
    Reason.SCHEMA: "The producer: mend the field that the detail names, and send the event again.",
    Reason.TEXT: "The producer: strip NUL from the text, and send the event again.",
    Reason.STATUS_MISMATCH: "The producer: make type and status agree, and send the event again.",
    Reason.TIME_OUT_OF_BOUNDS: (
        "The operator, where the time is right and the bound too narrow: widen `FOLIO_RULES_OCCURRED_*`, restart the "
        "workers, redrive. Else the producer: mend its clock."
    ),
    Reason.ORG_PAUSED: "The operator: `folio resume org`, then redrive.",
    Reason.PROPERTY_UNKNOWN: (
        "The operator: load the property (`folio properties load`), then redrive by name. Where it does not exist, the "
        "producer: mend the property's number."
    ),
    Reason.CURRENCY_MISMATCH: (
        "The accountant: whether the event or the property is wrong. A right property: the producer sends the event "
        "again. A wrong one: mend it, then redrive by name."
    ),
    Reason.VERSION_CONFLICT: "The producer: two bodies have one version; send the right one under a higher version.",
    Reason.CORRECTION_CONFLICT: "The accountant: issue what was meant as a correction with an id of its own.",
    Reason.DATABASE_REJECTED: "The operator, with the pipeline's developers: a rule is missing. Then redrive by name.",
}

_HEAD: Final = """# Dead letters

A record that breaks a rule never stops its lane. It is kept in `ops.dead_letters`, as it came, with one of the reasons
below, in the transaction of its batch; its neighbours go on. This page is made by
`python -m pipeline.reasons_reference > docs/dead-letters.md`; a test keeps it so.

## Reasons
"""

_LOOKING: Final = """## Looking

```
folio dlq histogram --by hour --since 24h        # what broke, how often, since when
folio dlq list --reason schema --limit 20        # the newest letters; --after TOPIC/LANE/OFFSET is the next page
folio dlq show finance-events 3 1042             # one letter as a whole; --raw writes its bytes
```

Each takes `--output json`. `--since` is an instant or `30m`, `24h`, `7d`, and counts from when the letter was recorded.
Control characters are escaped in what people read, so that a record cannot act on a terminal; `--raw` writes them.

## The topic

Each letter goes to `finance-dead-letters` too, through the outbox, so that monitoring and producers hear of it: key,
value and headers of the record, in the partition of its lane, and these headers:

{headers}

At least once, as every update: the place (topic, partition, offset) is the letter's identity. Where the topic has no
room for record and headers together (`max.message.bytes`), the letter comes without key, value and headers of its own,
and `{omitted}` tells the size of the value. The table has it whole, and stays the letters' home.

## Redriving

```
folio dlq redrive --reason time_out_of_bounds              # what would go, what stays, and why: changes nothing
folio dlq redrive --reason time_out_of_bounds --execute    # sends it back, each letter once
```

1. Mend the cause, and restart the workers with the new setting. The command judges by its *own* settings; where the
   workers have recorded other rules with their lanes, `--execute` is refused (exit code 3), and says which differ.
2. Look at the dry run. `--topic`, `--reason`, `--since` and `--max` narrow it.
3. `--execute`. One run at a time; a row of `ops.operator_audit` says who (`--as`, else the user of the operating
   system), what was asked, and what came of it.

A letter goes where the rules of now accept it twice: as of its old append time, so that waiting makes no wrong instant
right, and with the append time that **its new record gets**, because that is what the worker judges it by. It stays:
"""


def reference() -> str:
    """The whole page, in Markdown."""
    looking = _LOOKING.format(headers="\n".join(_headers()), omitted=OMITTED_HEADER)
    return "\n".join([_HEAD, *_catalogue(), "", looking, *_stays(), "", _tail()])


def _headers() -> Iterator[str]:
    yield "| header | what it says |\n|---|---|"
    for name, meaning in HEADER_MEANING.items():
        yield f"| `{name}` | {meaning} |"


def _catalogue() -> Iterator[str]:
    yield "| reason | meaning | who acts |\n|---|---|---|"
    for reason in Reason:
        yield f"| `{reason}` | {MEANING[reason]} | {WHO_ACTS[reason]} |"


def _stays() -> Iterator[str]:
    yield "| why | meaning |\n|---|---|"
    for why, meaning in WHY_MEANING.items():
        yield f"| `{why}` | {meaning[0].upper()}{meaning[1:]}. |"


def _tail() -> str:
    by_name = ", ".join(f"`{reason}`" for reason in Reason if reason in NEEDS_THE_BOOKS)
    return f"""{by_name}
are refused by the books, not by the rules: such letters go only where `--reason` names them.

The new record has the letter's key, value and headers, and two more: `{FROM_HEADER}` (topic/lane/offset of the
letter) and `{COUNT_HEADER}`. It goes where its key belongs. What fails again is another letter, with a higher
count; `--attempts-max` (3) bounds the count, so that nothing goes round for ever.

Letters stay in the table. `ops.dead_letter_redrives` remembers what was sent back, by whom, and where the new record
stands; a further run leaves these letters out. Run the command again after an interruption: where a run was killed
between the broker's taking a page (at most {PAGE_ROWS_MAX} letters) and remembering it, the next one sends that page
once more, which the books take as duplicates, or as further letters where it is refused again. A killed run leaves no
row in the audit; what it remembered has its user and instant.
"""


if __name__ == "__main__":
    sys.stdout.write(reference())
