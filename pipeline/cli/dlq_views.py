"""What folio dlq prints: tables for people, JSON for programs. Nothing that a producer sent reaches a terminal raw."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from rich.console import Console
from rich.table import Table

from pipeline.cli.output import Output, print_document
from pipeline.dead_letters.letters import Letter, ReasonCount, Summary, WholeLetter
from pipeline.dead_letters.planning import WHY_MEANING, Why
from pipeline.dead_letters.redriving import Tally
from schemas.reasons import MEANING, Reason

_DETAIL_CHARS_MAX = 100


def show_list(letters: Sequence[Summary], output: Output, *, more: bool) -> None:
    """The letters; with `more`, where the next page begins."""
    following = str(letters[-1].place) if letters and more else None
    if output == "json":
        documents = [
            {**asdict(letter.place), **{name: value for name, value in asdict(letter).items() if name != "place"}}
            for letter in letters
        ]
        print_document({"letters": documents, "next_after": following})
        return
    table = _table("recorded", "letter", "reason", "bytes", "redriven", "detail")
    for letter in letters:
        table.add_row(
            _instant(letter.recorded_at),
            printable(str(letter.place)),
            letter.reason,
            "-" if letter.value_bytes is None else f"{letter.value_bytes:,}",
            _instant(letter.redriven_at),
            _brief(letter.detail),
        )
    _console().print(table if letters else "no dead letters")
    if following is not None:
        _console().print(f"more: --after {following}", markup=False)


def show_letter(whole: WholeLetter, output: Output) -> None:
    """Everything that is known of one letter."""
    if output == "json":
        print_document(_letter_document(whole))
        return
    origin, redriven = whole.letter.origin, whole.redriven
    lines = [
        ("letter", str(whole.letter.place)),
        ("reason", whole.letter.reason),
        ("meaning", _meaning(whole.letter)),
        ("detail", whole.detail),
        ("appended", origin.appended_at.isoformat()),
        ("recorded", whole.recorded_at.isoformat()),
        ("redriven", "never"),
        ("key", _shown(origin.key)),
        *((f"header {name}", _shown(value)) for name, value in origin.headers),
    ]
    if redriven is not None:
        to = f"to lane {redriven.lane}, offset {redriven.offset}" if redriven.offset is not None else "place unknown"
        lines[6] = ("redriven", f"{redriven.at.isoformat()} by {redriven.who}, {to}")
    for name, text in lines:
        print(printable(f"{name}: {text}"))
    size = "no value" if origin.value is None else f"value, {len(origin.value):,} bytes"
    print(f"{size}:\n{printable(_shown(origin.value))}")


def show_histogram(counts: Sequence[ReasonCount], output: Output) -> None:
    """How many letters, by reason and topic."""
    if output == "json":
        print_document({"counts": [asdict(count) for count in counts]})
        return
    buckets = any(count.bucket is not None for count in counts)
    table = _table(*(["from"] if buckets else []), "reason", "topic", "letters", "first", "last")
    for count in counts:
        table.add_row(
            *([_instant(count.bucket)] if buckets else []),
            count.reason,
            printable(count.topic),
            f"{count.letters:,}",
            _instant(count.first_at),
            _instant(count.last_at),
        )
    _console().print(table if counts else "no dead letters")


def tally_document(tally: Tally, *, executed: bool) -> dict[str, object]:
    """What became of the letters, or would, for programs and for the audit."""
    goes, stays = [], []
    for (reason, why), counted in sorted(tally.counted.items()):
        row = {"reason": reason, "letters": counted.letters, "example": str(counted.example)}
        if why:
            # NUL, and what is no text, would be refused by the audit's column.
            stays.append(row | {"why": why, "detail": printable(counted.detail)})
        else:
            goes.append(row)
    return {
        "executed": executed,
        "letters_sent" if executed else "letters_to_send": tally.going,
        "letters_left": tally.staying,
        "stopped_at_max": tally.stopped_at_max,
        "goes": goes,
        "stays": stays,
    }


def show_tally(tally: Tally, output: Output, *, executed: bool) -> None:
    """What became of the letters, or would."""
    if output == "json":
        print_document(tally_document(tally, executed=executed))
        return
    console = _console()
    table = _table("reason", "letters", "what", "first of them", "why")
    for (reason, why), counted in sorted(tally.counted.items(), key=lambda item: (item[0][1], item[0][0])):
        what = "stays" if why else "sent" if executed else "would be sent"
        said = f"{WHY_MEANING[Why(why)]} ({counted.detail})" if why and counted.detail else ""
        meaning = said or (WHY_MEANING[Why(why)] if why else "")
        table.add_row(reason, f"{counted.letters:,}", what, printable(str(counted.example)), printable(meaning))
    if tally.counted:
        console.print(table)
    verb = "sent back" if executed else "would be sent back"
    console.print(f"{tally.going:,} letters {verb}, {tally.staying:,} stay")
    if tally.stopped_at_max:
        console.print("stopped at --max; run again for the rest", markup=False)
    if not executed and tally.going:
        console.print(
            "nothing was changed: --execute sends them. Their new records get a new append time, and are judged by it",
            markup=False,
        )


def printable(text: str) -> str:
    """The text with control characters escaped: a record must not move an operator's cursor, nor hide what it says."""
    return "".join(
        char if char.isprintable() or char in "\n\t" else char.encode("unicode_escape").decode() for char in text
    )


def _letter_document(whole: WholeLetter) -> dict[str, object]:
    origin = whole.letter.origin
    return {
        **asdict(whole.letter.place),
        "reason": whole.letter.reason,
        "meaning": _meaning(whole.letter),
        "detail": whole.detail,
        "appended_at": origin.appended_at,
        "recorded_at": whole.recorded_at,
        "redriven": asdict(whole.redriven) if whole.redriven is not None else None,
        "key": _content(origin.key),
        "headers": [{"name": printable(name), "value": _content(value)} for name, value in origin.headers],
        "value": _content(origin.value),
    }


def _meaning(letter: Letter) -> str:
    # A letter may be older than the catalogue, or younger.
    return MEANING[Reason(letter.reason)] if letter.reason in set(Reason) else "not in the catalogue of this version"


def _content(value: bytes | None) -> dict[str, str] | None:
    if value is None:
        return None
    text = _text(value)
    return {"text": text} if text is not None else {"hex": value.hex()}


def _shown(value: bytes | None) -> str:
    if value is None:
        return "none"
    text = _text(value)
    return text if text is not None else f"hex {value.hex()}"


def _text(value: bytes) -> str | None:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _brief(detail: str) -> str:
    line = printable(detail).replace("\n", " ")
    return line if len(line) <= _DETAIL_CHARS_MAX else f"{line[: _DETAIL_CHARS_MAX - 1]}…"


def _instant(at: datetime | None) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S") if at is not None else "-"


def _table(*headings: str) -> Table:
    table = Table(box=None, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="right" if heading in ("letters", "bytes") else "left")
    return table


def _console() -> Console:
    # Where nobody looks at a terminal, a table must not be cut to eighty columns.
    return Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 240)
