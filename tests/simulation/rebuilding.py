"""A rebuild beside the workers, as far as they meet it: a day's next version, and a row of its home lane's outbox."""

from uuid import UUID

from batchers.carry import Balance
from batchers.coalesce import Figures
from batchers.outbox import realtime_updates
from schemas.routing import home_lane
from schemas.updates import encode_update, join_updates
from tests.simulation.database import Session

_JOB: UUID = UUID(int=1 << 120)


async def rebuild_a_day(session: Session, lane_count: int) -> bool:
    """Raise the version of the first day there is, under its home lane's lock; whether there was one."""
    at = session.transaction
    assert at is not None
    key = min(session.database.tables["balances"], default=None)
    if key is None:
        return False
    lane = home_lane(key[0], lane_count)
    home = await at.lock("lanes", (lane,))
    row = await at.lock("balances", key)
    if home is None or row is None:
        return False
    recorded_at, seq = home["last_recorded_at"] + 1, home["outbox_seq"] + 1
    row = {**row, "version": row["version"] + 1, "updated_at": recorded_at}
    figures = Figures(
        row["cash_received_cents"], row["bank_received_cents"], row["cash_expenses_cents"], row["bank_expenses_cents"]
    )
    day = Balance(
        org_id=row["org_id"],
        property_id=row["property_id"],
        balance_date=row["balance_date"],
        version=row["version"],
        opening_cents=row["opening_balance_cents"],
        figures=figures,
        declared_closing_cents=row["declared_closing_cents"],
        last_event_id=row["last_event_id"],
        cause="rebuild",
    )
    (update,) = realtime_updates([day], session.database.epoch, recorded_at)
    await at.put("balances", key, row)
    place = {"lane": lane, "seq": seq, "batch_id": _JOB, "recorded_at": recorded_at}
    told = {"updates": join_updates([encode_update(update)]), "update_count": 1}
    nothing = {"letter_count": 0, "letter_bytes": 0, "chain_head": None}
    await at.insert("outbox", (lane, seq), place | told | nothing)
    await at.update(
        "lanes", (lane,), {"outbox_seq": seq, "last_recorded_at": recorded_at, "rebuilds": home["rebuilds"] + 1}
    )
    return True
