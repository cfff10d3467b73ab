"""Properties and their time zones."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from schemas.instants import instant_of
from tests.simulation.database import Transaction
from tests.simulation.statements.registry import Moment, Staged, Values, statement


@statement("read_properties", "org_id property_id currency opening_cash_cents valid_from time_zone")
async def _read_properties(
    at: Transaction, _staged: Staged, _moment: Moment, orgs: Sequence[int], properties: Sequence[int]
) -> Values:
    found = []
    for key in sorted(set(zip(orgs, properties, strict=True))):
        row = at.get("properties", key)
        zones = sorted((valid_from, zone) for (*of, valid_from), zone in at.rows("time_zones") if tuple(of) == key)
        if row is not None:
            found += [
                (*key, row["currency"], row["opening_cash_cents"], valid_from, zone["time_zone"])
                for valid_from, zone in zones
            ]
    return found


_BEGINNING: Final = instant_of(datetime(1, 1, 1, tzinfo=UTC))


@statement("register_properties")
async def _register_properties(
    at: Transaction,
    _staged: Staged,
    _moment: Moment,
    orgs: Sequence[int],
    properties: Sequence[int],
    currencies: Sequence[str],
    time_zone: str,
    recorded_at: int,
) -> Values:
    for org_id, property_id, currency in sorted(zip(orgs, properties, currencies, strict=True)):
        key = (org_id, property_id)
        row = {"currency": currency, "opening_cash_cents": 0, "self_registered": True, "known_since": recorded_at}
        await at.insert("properties", key, row)
        await at.insert("time_zones", (*key, _BEGINNING), {"time_zone": time_zone})
    return ()


@statement("upsert_users")
async def _upsert_users(
    at: Transaction,
    _staged: Staged,
    _moment: Moment,
    orgs: Sequence[int],
    users: Sequence[int],
    names: Sequence[str],
    recorded_at: int,
) -> Values:
    for org_id, user_id, name in sorted(zip(orgs, users, names, strict=True)):
        before = await at.lock("users", (org_id, user_id))
        if before is None or before["display_name"] != name:
            await at.put("users", (org_id, user_id), {"display_name": name, "recorded_at": recorded_at})
    return ()


@statement("paused_orgs", "org_id")
async def _paused_orgs(at: Transaction, _staged: Staged, _moment: Moment, orgs: Sequence[int]) -> Values:
    return [(org_id,) for (org_id,), _ in at.rows("org_pauses") if org_id in orgs]
