"""folio properties, as an operator types it, while a worker runs."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.events import encoded, event
from tests.support.stream import Stream


def property_file(folder: Path, *bodies: dict[str, Any]) -> str:
    """A file of org 1's properties, valid by default."""
    path = folder / "properties.ndjson"
    whole = ({"org_id": 1, "property_id": 1, "currency": "INR"} | body for body in bodies)
    path.write_text("\n".join(map(json.dumps, whole)) + "\n")
    return str(path)


KOLKATA = {"from": None, "zone": "Asia/Kolkata"}


async def test_a_zone_change_loaded_while_the_worker_runs_counts_from_its_instant(
    stream: Stream, tmp_path: Path
) -> None:
    changed = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=5)
    first, before, after = changed - timedelta(hours=10), changed - timedelta(minutes=1), changed + timedelta(hours=8)
    new_york = {"from": changed.isoformat(), "zone": "America/New_York"}
    file = property_file(tmp_path, {"time_zones": [KOLKATA, new_york], "name": "Palace"})
    with stream.worker() as worker:
        # The worker reads the property, and remembers it.
        await stream.send([(b"1", encoded(event(1, at=first)))])
        await stream.wait_until_consumed(1)
        planned = stream.folio("properties", "load", file)
        assert planned.returncode == 0, planned.stderr
        assert "nothing was written: repeat with --execute" in planned.stdout
        loaded = stream.folio("properties", "load", file, "--execute")
        assert loaded.returncode == 0, loaded.stderr
        # 17:29 in India on the 1st day; 16:00 in New York on it, when it is 01:30 of the next in India.
        await stream.send([(b"1", encoded(event(2, at=before))), (b"1", encoded(event(3, at=after)))])
        await stream.wait_until_consumed(3)
        too_late = property_file(tmp_path, {"time_zones": [KOLKATA, new_york | {"from": after.isoformat()}]})
        refused = stream.folio("properties", "load", too_late, "--execute")
        assert refused.returncode == 1, refused.stdout
        assert "a change must begin after that instant" in refused.stdout
        assert await worker.stop() == 0
    async with stream.database() as connection:
        rows = await connection.fetch("SELECT aggregate_id, balance_date FROM event_store.snapshots ORDER BY 1")
        audits = await connection.fetchval("SELECT count(*) FROM ops.operator_audit")
    assert dict(map(tuple, rows)) == dict.fromkeys((1, 2, 3), changed.date())
    assert audits == 1
    report = await stream.prove()
    assert report.exit_code == 0, report


async def test_a_property_loaded_beforehand_opens_its_first_day_and_keeps_its_currency(
    stream: Stream, tmp_path: Path
) -> None:
    at = datetime.now(UTC) - timedelta(days=3)
    file = property_file(
        tmp_path, {"currency": "JPY", "opening_cash_cents": 5000, "time_zones": [{"zone": "Asia/Tokyo"}]}
    )
    assert stream.folio("properties", "load", file, "--execute").returncode == 0
    with stream.worker() as worker:
        await stream.send([(b"1", encoded(event(n, at=at, currency=code))) for n, code in ((1, "JPY"), (2, "INR"))])
        await stream.wait_until_consumed(2)
        assert await worker.stop() == 0
    refused = stream.folio("properties", "load", property_file(tmp_path, {"time_zones": [{"zone": "Asia/Tokyo"}]}))
    assert refused.returncode == 1
    assert "keeps JPY" in refused.stdout
    assert await stream.outcomes() == {"applied": 1, "duplicate": 0, "stale": 0, "conflict": 0, "quarantined": 1}
    async with stream.database() as connection:
        opening = await connection.fetchval("SELECT opening_balance_cents FROM finance.daily_cash_balances_partitioned")
    assert opening == 5000
    report = await stream.prove()
    assert report.exit_code == 0, report


def test_lists_and_refusals_are_told_to_people_and_programs(stream: Stream, tmp_path: Path) -> None:
    zones = {"time_zones": [KOLKATA, {"from": "2026-03-01T00:00:00Z", "zone": "Europe/Lisbon"}]}
    file = property_file(
        tmp_path, zones | {"opening_cash_cents": 12345}, {"property_id": 2, "currency": "KWD", **zones}
    )
    planned = stream.folio("properties", "load", file, "--output", "json")
    document = json.loads(planned.stdout)
    assert (document["new"], document["executed"], document["written"]) == (2, False, 0)
    assert stream.folio("properties", "load", file, "--execute").stdout.endswith("2 properties were written\n")
    assert stream.folio("properties", "load", file, "--execute").stdout.endswith("nothing to change\n")
    text = stream.folio("properties", "list").stdout
    assert "123.45" in text
    assert "from 2026-03-01T00:00:00+00:00 Europe/Lisbon" in text
    page = json.loads(stream.folio("properties", "list", "--org", "1", "--limit", "1", "--output", "json").stdout)
    assert page["next"] == "1:1"
    assert page["properties"][0]["time_zones"] == zones["time_zones"]
    rest = json.loads(stream.folio("properties", "list", "--after", page["next"], "--output", "json").stdout)
    assert [(one["property_id"], one["opening_cash"]) for one in rest["properties"]] == [(2, "0.000")]
    bad = stream.folio("properties", "load", property_file(tmp_path, {"currency": "INQ", **zones}), "--execute")
    assert bad.returncode == 2
    assert "line 1: 'INQ' is no currency of ISO 4217" in bad.stderr
    assert stream.folio("properties", "list", "--after", "nonsense").returncode == 3
