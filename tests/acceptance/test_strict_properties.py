"""Properties that must be loaded: kept out before, let in after, and proved either way."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.topics import Feed
from tests.acceptance.test_properties import KOLKATA, property_file
from tests.conftest import MakeStream
from tests.oracle.planting import planted
from tests.support.events import correction, encoded, event
from tests.support.stream import Message, Stream

AT = datetime.now(UTC) - timedelta(days=2)
STRICT = {"RULES_UNKNOWN_PROPERTY": "quarantine"}


def an_event(number: int, org: int, property_: int) -> Message:
    return b"%d" % org, encoded(event(number, org=org, property_=property_, at=AT))


async def test_what_named_an_unknown_property_is_applied_once_it_is_loaded(
    make_stream: MakeStream, tmp_path: Path
) -> None:
    stream = await make_stream(**STRICT)
    zones = {"time_zones": [KOLKATA]}
    known, late = {"property_id": 1, **zones}, {"property_id": 2, **zones}
    assert stream.folio("properties", "load", property_file(tmp_path, known), "--execute").returncode == 0
    counted = b"1", encoded(correction(org=1, property_=2, day=AT.date(), declared=90))
    with stream.worker() as worker:
        await stream.send([an_event(1, 1, 1), an_event(2, 1, 2), an_event(3, 3, 1)])
        await stream.send([counted], feed=Feed.CORRECTIONS)
        await stream.wait_until_consumed(4)
        assert await _letters(stream) == [(2, "property_unknown"), (3, "property_unknown"), (None, "property_unknown")]
        assert (await stream.prove()).exit_code == 0
        loaded = stream.folio("properties", "load", property_file(tmp_path, known, late), "--execute")
        assert loaded.returncode == 0, loaded.stderr
        await stream.send([an_event(4, 1, 2)])
        assert _redriven(stream) == 0
        assert _redriven(stream, "--reason", "property_unknown") == 3
        await stream.wait_until_consumed(8)
        assert await worker.stop() == 0
    # Applied: what came before under a known property, what came after the load, and the two that it let in.
    assert await stream.outcomes() == {"applied": 4, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 4}
    await _differs_when_the_load_is_moved(stream)
    # Under the other rule the property of the letters that are left registers itself: they stay what they were.
    with stream.worker(RULES_UNKNOWN_PROPERTY="register") as worker:
        await stream.send([an_event(5, 3, 1)])
        await stream.wait_until_consumed(9)
        assert await worker.stop() == 0
    report = await stream.prove()
    assert report.exit_code == 0, report


def _redriven(stream: Stream, *arguments: str) -> int:
    done = stream.folio("dlq", "redrive", "--execute", "--output", "json", *arguments)
    assert done.returncode == 0, done.stderr
    sent: int = json.loads(done.stdout)["letters_sent"]
    return sent


async def _letters(stream: Stream) -> list[tuple[int | None, str]]:
    """Transaction and reason of each letter; a correction has no transaction."""
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT record_value, reason FROM ops.dead_letters")
    found = [(json.loads(row["record_value"]).get("aggregate_id"), row["reason"]) for row in rows]
    return sorted(found, key=lambda letter: (letter[0] is None, letter[0]))


async def _differs_when_the_load_is_moved(stream: Stream) -> None:
    """Had it come earlier, the letters would be wrong; had it come later, what was booked would be."""
    report = await stream.prove()
    assert report.exit_code == 0, report
    moved = "UPDATE finance.properties SET known_since = known_since {} interval '1 day' WHERE known_since IS NOT NULL"
    earlier = await planted(stream, moved.format("-"))
    assert {"dead_letters", "lanes"} <= earlier.difference_counts.keys()
    later = await planted(stream, moved.format("+"))
    assert {"stored_events", "corrections"} <= later.difference_counts.keys()
