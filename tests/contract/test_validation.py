"""`folio validate` says of a line what the workers would say of the record."""

import inspect
import io
import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.validate import ONLY_THE_BOOKS_KNOW
from pipeline.contract.validation import Line, judged_lines
from pipeline.exits import EXIT_CANNOT, EXIT_DIFFERENT, EXIT_OK
from schemas import codec
from schemas.codec import RECORD_BYTES_MAX
from schemas.reasons import Reason
from schemas.topics import Feed
from tests.schemas.test_correction_samples import APPENDED_AT, CORRECTIONS, RULES
from tests.schemas.test_correction_samples import POISON as CORRECTION_POISON
from tests.schemas.test_samples import EVENTS, POISON
from tests.support.events import correction, encoded, event

REPOSITORY = Path(__file__).resolve().parents[2]


def lines_of(content: bytes, feed: Feed = Feed.EVENTS) -> list[Line]:
    return list(judged_lines(io.BytesIO(content), feed, RULES, APPENDED_AT))


def reasons(content: bytes, feed: Feed = Feed.EVENTS) -> list[tuple[int, str | None]]:
    return [
        (line.number, str(line.refusal.reason) if line.refusal is not None else None)
        for line in lines_of(content, feed)
    ]


def on_lines(samples: Sequence[Path]) -> tuple[list[Path], bytes]:
    """Those of the samples that have something to say, and their bytes, each on one line."""
    bodies = {sample: sample.read_bytes().replace(b"\n", b" ") for sample in samples}
    spoken = [sample for sample in samples if bodies[sample].strip()]
    return spoken, b"".join(bodies[sample] + b"\n" for sample in spoken)


@pytest.mark.parametrize(
    ("feed", "good", "poison"), [(Feed.EVENTS, EVENTS, POISON), (Feed.CORRECTIONS, CORRECTIONS, CORRECTION_POISON)]
)
def test_every_sample_is_judged_as_the_workers_judge_it(feed: Feed, good: list[Path], poison: list[Path]) -> None:
    samples, content = on_lines([*good, *poison])
    expected = [sample.stem.partition(".")[0] if sample in poison else None for sample in samples]
    assert reasons(content, feed) == list(enumerate(expected, start=1))
    assert all(line.refusal is None or line.refusal.detail for line in lines_of(content, feed))


def an_event() -> bytes:
    return encoded(event(at=APPENDED_AT))


def test_a_reason_is_found_here_or_said_to_be_the_books() -> None:
    of_the_codec = {reason for reason in Reason if f"Reason.{reason.name}" in inspect.getsource(codec)}
    of_the_books = set().union(*ONLY_THE_BOOKS_KNOW.values())
    assert of_the_codec | of_the_books == set(Reason)
    assert not of_the_codec & of_the_books


def test_blank_lines_are_no_records_and_count_as_lines() -> None:
    content = b"\n" + an_event() + b"\r\n \t\r\n{\n\n" + an_event()
    assert reasons(content) == [(2, None), (4, "malformed"), (6, None)]


def test_a_line_may_be_as_long_as_a_record_and_no_longer() -> None:
    padded = an_event()[:-1] + b',"pad":"%s"}'
    longest = padded % (b"x" * (RECORD_BYTES_MAX - len(padded % b"")))
    longer = padded % (b"x" * (RECORD_BYTES_MAX + 1 - len(padded % b"")))
    for end in (b"\n", b"\r\n"):
        assert reasons(longest + end + longer + end + longest) == [(1, None), (2, "too_large"), (3, None)]
    assert reasons(longer) == [(1, "too_large")]


def test_a_line_that_never_ends_is_not_held(tmp_path: Path) -> None:
    file = tmp_path / "endless"
    with file.open("wb") as writing:
        for _ in range(512):
            writing.write(b"x" * RECORD_BYTES_MAX)
        writing.write(b"\n" + an_event() + b"\n")
    tracemalloc.start()
    try:
        with file.open("rb") as reading:
            found = list(judged_lines(reading, Feed.EVENTS, RULES, APPENDED_AT))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [line.refusal is None for line in found] == [False, True]
    assert found[0].refusal is not None
    assert found[0].refusal.detail.startswith(f"{512 * RECORD_BYTES_MAX} bytes")
    assert peak < 8 * RECORD_BYTES_MAX


def folio_validate(*arguments: str | Path, stdin: bytes = b"", **settings: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline.cli", "validate", *arguments],
        input=stdin,
        capture_output=True,
        cwd=REPOSITORY,
        env=os.environ | {f"FOLIO_{name}": value for name, value in settings.items()},
        timeout=60,
        check=False,
    )


def now(**changes: Any) -> bytes:
    return encoded(event(at=datetime.now(UTC)) | changes) + b"\n"


def test_a_good_file_is_zero(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_bytes(now() * 3)
    done = folio_validate(file)
    assert done.returncode == EXIT_OK, done.stderr
    assert b"3 records for finance-events: 3 accepted, 0 refused" in done.stdout
    assert b"as if appended at " in done.stdout
    assert b"only the books can tell: org_paused, version_conflict, currency_mismatch" in done.stdout


def test_each_refusal_is_told_with_its_line_and_the_rest_goes_on() -> None:
    done = folio_validate("-", stdin=now() + b"{\n" + now(version=0) + now(type="\x1b[2J\nline 9") + now())
    assert done.returncode == EXIT_DIFFERENT, done.stderr
    told = done.stdout.decode().splitlines()
    assert told[0].startswith("line 2: malformed: ")
    assert told[1].startswith("line 3: schema: ")
    assert "`$.version`" in told[1]
    assert told[2].startswith("line 4: schema: ")
    assert r"\x1b[2J\nline 9" in told[2]
    assert told[3] == "5 records for finance-events: 2 accepted, 3 refused"


def test_programs_get_one_document() -> None:
    done = folio_validate("-", "--output", "json", stdin=now() + b"{\n" + now(version=0))
    assert done.returncode == EXIT_DIFFERENT, done.stderr
    document = json.loads(done.stdout)
    assert [(refusal["line"], refusal["reason"]) for refusal in document.pop("refusals")] == [
        (2, "malformed"),
        (3, "schema"),
    ]
    assert document.pop("appended_at") <= datetime.now(UTC).isoformat()
    assert document == {
        "topic": "finance-events",
        "accepted": 1,
        "refused": 2,
        "reasons": {"malformed": 1, "schema": 1},
        "occurred_past_max_days": 3660,
        "occurred_future_max_hours": 24.0,
        "only_the_books_can_tell": [
            "org_paused",
            "version_conflict",
            "currency_mismatch",
            "property_unknown",
            "database_rejected",
        ],
    }


def test_corrections_are_judged_as_corrections() -> None:
    good = encoded(correction(day=datetime.now(UTC).date())) + b"\n"
    topic = ("--topic", "balance-corrections")
    assert folio_validate("-", *topic, stdin=good).returncode == EXIT_OK
    done = folio_validate("-", *topic, "--output", "json", stdin=good + now())
    assert done.returncode == EXIT_DIFFERENT
    document = json.loads(done.stdout)
    assert [refusal["line"] for refusal in document["refusals"]] == [2]
    assert document["only_the_books_can_tell"] == [
        "org_paused",
        "correction_conflict",
        "property_unknown",
        "database_rejected",
    ]


def test_the_bounds_are_those_of_the_settings() -> None:
    old = encoded(event(at=datetime(2025, 1, 1, tzinfo=UTC)))
    assert folio_validate("-", stdin=old).returncode == EXIT_OK
    done = folio_validate("-", stdin=old, RULES_OCCURRED_PAST_MAX_DAYS="2")
    assert done.returncode == EXIT_DIFFERENT
    assert done.stdout.startswith(b"line 1: time_out_of_bounds: ")


@pytest.mark.parametrize("what", ["nothing.ndjson", "."])
def test_what_cannot_be_read_is_named(what: str, tmp_path: Path) -> None:
    done = folio_validate(tmp_path / what)
    assert done.returncode == EXIT_CANNOT
    assert str(tmp_path / what).encode() in done.stderr
    assert b"Traceback" not in done.stderr


def test_nothing_to_judge_is_no_success() -> None:
    done = folio_validate("-", stdin=b"\n \n")
    assert done.returncode == EXIT_CANNOT
    assert b"nothing was judged" in done.stderr


def test_a_reader_that_has_seen_enough_breaks_nothing(tmp_path: Path) -> None:
    file = tmp_path / "poison.ndjson"
    file.write_bytes(b"{\n" * 50_000)
    command = [sys.executable, "-m", "pipeline.cli", "validate", str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=REPOSITORY) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"line 1: malformed")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=60) == EXIT_CANNOT
