"""Lanes: claims, fence, positions, marks, pauses."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from schemas.instants import instant_of
from schemas.lanes import NOTHING_ACCEPTED
from tests.simulation.database import Row, Transaction
from tests.simulation.statements.registry import Moment, Staged, Values, names, picked, statement

_NOTHING_RECORDED: Final = instant_of(datetime(1970, 1, 1, tzinfo=UTC))
_NEW_LANE: Final[Row] = {
    "owner_epoch": 0,
    "owner": None,
    "retention_months": None,
    "transactions_since": None,  # no worker keeps more than another here
    "batch_id": None,
    **dict.fromkeys(("finance_position", "last_offset", "last_appended_at", "last_record_hash")),
    **dict.fromkeys(("corrections_position", "corrections_last_offset")),
    **dict.fromkeys(("corrections_last_appended_at", "corrections_last_record_hash")),
    "last_recorded_at": _NOTHING_RECORDED,
    "rebuilds": 0,
    "chain_seq": 0,
    "chain_head": bytes(16),
    **dict.fromkeys(("outbox_seq", "published_seq", "invalidated_seq", "properties_revision", "paused_orgs"), 0),
    **dict.fromkeys(("applied", "duplicate", "stale", "conflict", "quarantined", "misrouted", "version_gaps"), 0),
    **dict.fromkeys(("stopped_reason", "paused_by", "pause_reason")),
    "poison_accepted_until": instant_of(NOTHING_ACCEPTED),
}
_FENCE: Final = (
    "lane owner_epoch batch_id finance_position corrections_position outbox_seq last_recorded_at chain_seq chain_head "
    "properties_revision paused_orgs"
)
_CLAIMED: Final = (
    "lane owner_epoch finance_position last_offset last_appended_at last_record_hash corrections_position "
    "corrections_last_offset corrections_last_appended_at corrections_last_record_hash outbox_seq published_seq "
    "invalidated_seq stopped_reason paused_by pause_reason poison_accepted_until"
)


@statement("count_lanes", "count")
async def _count_lanes(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [(sum(1 for _ in at.rows("lanes")),)]


@statement("ensure_lanes")
async def _ensure_lanes(at: Transaction, _staged: Staged, _moment: Moment, count: int) -> Values:
    for lane in range(count):
        if at.get("lanes", (lane,)) is None and await at.lock("lanes", (lane,)) is None:
            await at.put("lanes", (lane,), {"lane": lane, **_NEW_LANE})
    return ()


@statement("fence", _FENCE)
async def _fence(at: Transaction, _staged: Staged, _moment: Moment, lanes: Sequence[int]) -> Values:
    rows = [await at.lock("lanes", (lane,)) for lane in sorted(lanes) if at.get("lanes", (lane,)) is not None]
    return [picked(row, _FENCE) for row in rows if row is not None]


@statement("claim_lane", _CLAIMED)
async def _claim_lane(at: Transaction, _staged: Staged, moment: Moment, lane: int, owner: str, months: int) -> Values:
    row = await at.lock("lanes", (lane,))
    if row is None:
        return ()
    row = {**row, "owner_epoch": row["owner_epoch"] + 1, "owner": owner, "retention_months": months}
    await at.put("lanes", (lane,), row)
    instants = ("last_appended_at", "corrections_last_appended_at", "poison_accepted_until")
    return [picked({**row, **{name: moment(row[name]) for name in instants}}, _CLAIMED)]


@statement("record_rules")
async def _record_rules(
    at: Transaction, _staged: Staged, _moment: Moment, lane: int, finance: int, corrections: int, *rules: Any
) -> Values:
    columns = names("past_max future_max default_currency default_time_zone unknown_property lane_count")
    new = dict(zip(columns, rules, strict=True))
    newest = max((row for row in at.rows("lane_rules") if row[0][0] == lane), default=None, key=lambda row: row[0])
    if newest is None or any(newest[1][name] != new[name] for name in columns):
        key = (lane, finance, corrections)
        places = {"lane": lane, "finance_position": finance, "corrections_position": corrections}
        await at.put("lane_rules", key, {**places, **new})
    return ()


@statement("stop_lane", "lane")
async def _stop_lane(
    at: Transaction, _staged: Staged, _moment: Moment, lane: int, epoch: int, reason: str | None
) -> Values:
    row = await at.lock("lanes", (lane,))
    if row is None or row["owner_epoch"] != epoch:
        return ()
    await at.update("lanes", (lane,), {"stopped_reason": reason})
    return [(lane,)]


@statement("pause_lane")
async def _pause_lane(
    at: Transaction, _staged: Staged, _moment: Moment, lane: int, who: str, reason: str, epoch: int | None
) -> Values:
    row = await at.lock("lanes", (lane,))
    if row is not None and row["paused_by"] is None and epoch in (None, row["owner_epoch"]):
        await at.update("lanes", (lane,), {"paused_by": who, "pause_reason": reason})
    return ()


@statement("lane_pauses", "lane paused_by pause_reason poison_accepted_until outbox_seq")
async def _lane_pauses(at: Transaction, _staged: Staged, moment: Moment, lanes: Sequence[int]) -> Values:
    rows = [row for (lane,), row in sorted(at.rows("lanes")) if lane in lanes]
    return [
        (*picked(row, "lane paused_by pause_reason"), moment(row["poison_accepted_until"]), row["outbox_seq"])
        for row in rows
    ]


@statement("advance_lane")
async def _advance_lane(at: Transaction, _staged: Staged, _moment: Moment, lane: int, *values: Any) -> Values:
    row = await at.lock("lanes", (lane,))
    if row is None:
        return ()
    set_when_given = names(
        "finance_position last_offset last_appended_at last_record_hash corrections_position "
        "corrections_last_offset corrections_last_appended_at corrections_last_record_hash"
    )
    batch_id, standing, (recorded_at, *chain, outbox_seq) = values[0], values[1:9], values[9:13]
    changes = {name: value for name, value in zip(set_when_given, standing, strict=True) if value is not None}
    counted = names("applied duplicate stale conflict quarantined misrouted version_gaps")
    changes |= {name: row[name] + more for name, more in zip(counted, values[13:20], strict=True)}
    changes |= {"batch_id": batch_id, "last_recorded_at": recorded_at}
    changes |= dict(zip(("chain_seq", "chain_head"), chain, strict=True))
    await at.update("lanes", (lane,), changes | {"outbox_seq": outbox_seq})
    return ()


@statement("stamp_homes")
async def _stamp_homes(at: Transaction, _staged: Staged, _moment: Moment, lanes: Sequence[int], last: int) -> Values:
    for lane in lanes:
        row = await at.lock("lanes", (lane,))
        if row is not None:
            await at.update("lanes", (lane,), {"last_recorded_at": max(row["last_recorded_at"], last)})
    return ()


@statement("mark_lane")
async def _mark_lane(
    at: Transaction, _staged: Staged, _moment: Moment, lane: int, epoch: int, published: int, invalidated: int
) -> Values:
    row = await at.lock("lanes", (lane,))
    if row is not None and row["owner_epoch"] == epoch:
        marks = {
            "published_seq": max(row["published_seq"], published),
            "invalidated_seq": max(row["invalidated_seq"], invalidated),
        }
        await at.update("lanes", (lane,), marks)
    return ()


@statement("cluster_epoch", "epoch")
async def _cluster_epoch(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [(at.database.epoch,)]
