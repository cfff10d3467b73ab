"""The commands as a shell sees them."""

import json

from tests.support.events import encoded, event
from tests.support.stream import Stream


async def test_a_check_of_sound_books_and_what_it_refuses(stream: Stream) -> None:
    with stream.worker():
        await stream.send([(b"1", encoded(event(1)))])
        await stream.wait_until_consumed(1)
    checked = stream.folio("check")
    assert (checked.returncode, checked.stderr) == (0, "slice 1 of 1: 1 transactions " + checked.stderr[29:])
    assert "check changes: 1 transactions" in checked.stdout
    both = stream.folio("check", "--full", "--org", "1")
    assert both.returncode == 3
    assert "one of --org, --since, --full and --every-byte" in both.stderr
    assert stream.folio("check", "--since", "yesterday").returncode == 3
    audit = stream.folio("night-audit", "--date", "2026-03-10", "--output", "json")
    assert audit.returncode == 1
    (worst,) = json.loads(audit.stdout)["worst"]
    assert (worst["finding"], worst["cents"]) == ("missing_count", 100)
    assert stream.folio("night-audit").returncode == 0


async def test_without_a_worker_a_repair_says_what_waits(stream: Stream) -> None:
    with stream.worker():
        await stream.send([(b"1", encoded(event(1)))])
        await stream.wait_until_consumed(1)
    async with stream.database() as connection:
        await connection.execute(
            "UPDATE finance.daily_cash_balances_partitioned SET bank_received_cents = bank_received_cents + 1"
        )
    done = stream.folio("check", "--repair", CONSISTENCY_REPAIR_WAIT_SECONDS="0.2")
    assert done.returncode == 1
    assert "1 corrections are not applied yet: does a worker run?" in done.stdout
    assert "balance property 1 2026-03-10: bank_received_cents" in done.stdout
    with stream.worker():
        await stream.wait_until_consumed(2)
    assert stream.folio("check", "--repair").returncode == 0
