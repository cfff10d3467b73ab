"""A year of one property, backdated in random order: the same books whatever the size of a batch."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.conftest import MakeStream
from tests.support.events import encoded, event
from tests.support.stream import Message

_YEAR_START = datetime(2025, 8, 1, tzinfo=UTC)
_KINDS = ("revenue", "expense")
_MODES = ("cash", "bank")


def _state(dice: random.Random) -> dict[str, Any]:
    return {
        "amount": dice.randrange(1, 100_000),
        "mode": dice.choice(_MODES),
        "status": dice.choice(("pending", "approved", "approved", "approved", "rejected")),
        "at": _YEAR_START + timedelta(days=dice.randrange(365), minutes=dice.randrange(1440)),
    }


def a_year(seed: int, transactions: int) -> list[Message]:
    """Each transaction created on a random day, then edited, moved, deleted, revived; all of it shuffled a little."""
    dice = random.Random(seed)
    events = []
    for number in range(1, transactions + 1):
        kind = dice.choice(_KINDS)
        first = _state(dice) | {"status": dice.choice(("pending", "approved"))}
        versions = [event(number, 1, kind=kind, **first)]
        while dice.random() < 0.6:
            status = {"status": "deleted"} if dice.random() < 0.25 else {}
            verb = None if status else "updated"
            versions.append(event(number, len(versions) + 1, kind=kind, verb=verb, **(_state(dice) | status)))
        events += [(dice.random() * 0.3 + number / transactions, body) for body in versions]
    # A shuffled order within a window: versions overtake each other, days come in any order.
    ordered = [body for _, body in sorted(events, key=lambda pair: pair[0])]
    duplicates = [dice.choice(ordered) for _ in range(10)]
    return [(b"1", encoded(body)) for body in [*ordered, *duplicates]]


async def test_equal_books_and_outcomes_for_every_size_of_batch(make_stream: MakeStream) -> None:
    messages = a_year(seed=7, transactions=150)
    seen = []
    for rows_max in (1, 7, 100, 100_000):
        stream = await make_stream(lanes=1, BATCH_ROWS_MAX=str(rows_max), BATCH_LINGER_MS="100")
        await stream.send(messages)
        with stream.worker() as worker:
            await stream.wait_until_consumed(len(messages))
            assert await worker.stop() == 0
        report = await stream.prove()
        assert report.exit_code == 0, (rows_max, report)
        assert report.events == len(messages)
        async with stream.database() as connection:
            # A day whose batches net to nothing may have no row; it equals one with zero movements.
            balances = await connection.fetch(
                "SELECT balance_date, cash_received_cents, bank_received_cents, cash_expenses_cents, "
                "bank_expenses_cents, closing_balance_cents FROM finance.daily_cash_balances_partitioned "
                "WHERE (cash_received_cents, bank_received_cents, cash_expenses_cents, bank_expenses_cents) "
                "<> (0, 0, 0, 0) ORDER BY balance_date"
            )
        seen.append((await stream.outcomes(), [tuple(row) for row in balances]))
    assert len(seen[0][1]) > 50
    assert seen[0][0]["stale"] > 0
    assert seen[0][0]["duplicate"] >= 10
    assert all(other == seen[0] for other in seen[1:])
