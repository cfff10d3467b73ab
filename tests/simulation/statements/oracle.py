"""What `folio verify` asks."""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

from tests.simulation.database import Row, Transaction
from tests.simulation.statements.balances import MOVEMENTS, day_of, in_key_order
from tests.simulation.statements.registry import Moment, Staged, Values, of_the_oracle, picked

_LANE: Final = (
    "lane finance_position corrections_position published_seq chain_seq chain_head last_recorded_at rebuilds "
    "retention_months transactions_since applied duplicate stale conflict quarantined version_gaps misrouted"
)


@of_the_oracle("lanes", _LANE)
async def _oracle_lanes(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    return [picked(_with_moments(row, moment), _LANE) for _, row in sorted(at.rows("lanes"))]


@of_the_oracle("epoch", "epoch")
async def _oracle_epoch(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [(at.database.epoch,)]


_RULES: Final = (
    "lane finance_position corrections_position past_max future_max default_currency default_time_zone "
    "unknown_property lane_count"
)


@of_the_oracle("lane_rules", _RULES)
async def _oracle_rules(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [picked(row, _RULES) for _, row in sorted(at.rows("lane_rules"), key=lambda row: row[0])]


@of_the_oracle("properties", "org_id property_id self_registered currency opening_cash_cents")
async def _oracle_properties(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    columns = "self_registered currency opening_cash_cents"
    return [(*key, *picked(row, columns)) for key, row in at.rows("properties")]


@of_the_oracle("users", "org_id user_id display_name")
async def _oracle_users(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [(*key, row["display_name"]) for key, row in at.rows("users")]


@of_the_oracle("users_kept_since", "applied")
async def _oracle_users_kept_since(_at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return [(datetime(2000, 1, 1, tzinfo=UTC),)]


_FIRST_THAT_PYTHON_HAS: Final = datetime(1, 1, 2, tzinfo=UTC)


@of_the_oracle("time_zones", "org_id property_id valid_from time_zone")
async def _oracle_time_zones(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    rows = sorted(at.rows("time_zones"), key=lambda row: row[0])
    return [
        (org_id, property_id, max(moment(valid_from), _FIRST_THAT_PYTHON_HAS), row["time_zone"])
        for (org_id, property_id, valid_from), row in rows
    ]


def _digest(value: bytes | None) -> bytes | None:
    return sha256(value).digest() if value is not None else None


@of_the_oracle("dead_letters", "lane record_offset reason record_value_sha256 recorded_at")
async def _oracle_dead_letters(at: Transaction, _staged: Staged, moment: Moment, topic: str) -> Values:
    return [
        (row["lane"], row["record_offset"], row["reason"], _digest(row["record_value"]), moment(row["recorded_at"]))
        for _, row in at.rows("dead_letters")
        if row["topic"] == topic
    ]


@of_the_oracle("org_pauses", "org_id lane finance_from finance_to corrections_from corrections_to")
async def _oracle_org_pauses(_at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return ()


@of_the_oracle("expired_months", "parent month restored waiting")
async def _oracle_expired_months(_at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    return ()  # nobody keeps house in the simulation


@of_the_oracle("corrections_order", "lane record_offset finance_position recorded_at")
async def _oracle_corrections_order(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    rows = sorted((row for _, row in at.rows("corrections")), key=lambda row: (row["lane"], row["record_offset"]))
    return [(*picked(row, "lane record_offset finance_position"), moment(row["recorded_at"])) for row in rows]


_CHAINED: Final = (
    "lane record_offset recorded_at content_hash org_id aggregate_type aggregate_id version event_type event_id "
    "property_id balance_date occurred_at appended_at outcome hash_version event_data headers"
)
_CHAINED_CORRECTION: Final = (
    "org_id correction_id property_id balance_date kind declared_closing_cents hash_version content_hash lane "
    "record_offset finance_position appended_at recorded_at issued_at recorded_by_user_id reason correction_data "
    "headers"
)
_LINK: Final = (
    "lane seq batch_id owner_epoch cluster_epoch events corrections first_recorded_at last_recorded_at "
    "previous_head head"
)
_INSTANTS: Final = ("recorded_at", "occurred_at", "appended_at", "issued_at", "first_recorded_at", "last_recorded_at")


def _with_moments(row: Row, moment: Moment) -> Row:
    return row | {name: moment(row[name]) for name in _INSTANTS if name in row}


@of_the_oracle("chain", _CHAINED)
async def _oracle_chain(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    rows = sorted((row for _, row in at.rows("events")), key=lambda row: (row["lane"], row["record_offset"]))
    return [picked(_with_moments(row, moment), _CHAINED) for row in rows]


@of_the_oracle("chain_corrections", _CHAINED_CORRECTION)
async def _oracle_chain_corrections(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    rows = sorted((row for _, row in at.rows("corrections")), key=lambda row: (row["lane"], row["recorded_at"]))
    return [picked(_with_moments(row, moment), _CHAINED_CORRECTION) for row in rows]


@of_the_oracle("chain_links", _LINK)
async def _oracle_chain_links(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    return [
        picked(_with_moments(row, moment), _LINK) for _, row in sorted(at.rows("chain_links"), key=lambda row: row[0])
    ]


@of_the_oracle("recorded_order", "lane record_offset recorded_at")
async def _oracle_recorded_order(at: Transaction, _staged: Staged, moment: Moment, orgs: Sequence[int]) -> Values:
    return [
        (row["lane"], row["record_offset"], moment(row["recorded_at"]))
        for _, row in at.rows("events")
        if row["org_id"] in orgs
    ]


_STORED: Final = "org_id aggregate_type aggregate_id version lane record_offset event_type"


@of_the_oracle(
    "stored_events",
    f"{_STORED} event_id property_id balance_date occurred_at appended_at outcome event_data_sha256 hash_version "
    "content_hash",
)
async def _oracle_stored_events(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    return [
        (
            *picked(row, _STORED),
            row["event_id"].bytes,
            *picked(row, "property_id balance_date"),
            moment(row["occurred_at"]),
            moment(row["appended_at"]),
            row["outcome"],
            _digest(row["event_data"]),
            *picked(row, "hash_version content_hash"),
        )
        for _, row in at.rows("events")
    ]


_BOOKED: Final = "balance_date payment_mode status amount_cents contribution_cents hash_version content_hash"


@of_the_oracle("snapshots", f"org_id aggregate_type aggregate_id version property_id occurred_at {_BOOKED}")
async def _oracle_snapshots(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    return [
        (*key, *picked(row, "version property_id"), moment(row["occurred_at"]), *picked(row, _BOOKED))
        for key, row in at.rows("snapshots")
    ]


_SHOWN: Final = "balance_date payment_mode status amount_cents currency category description bank_reference source"


@of_the_oracle("transactions", f"org_id aggregate_type id version property_id occurred_at {_SHOWN}")
async def _oracle_transactions(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    return [
        (org_id, kind, number, *picked(row, "version property_id"), moment(occurred_at), *picked(row, _SHOWN))
        for kind in ("revenue", "expense")
        for (org_id, number, occurred_at), row in at.rows(f"{kind}s")
    ]


@of_the_oracle(
    "corrections",
    "org_id correction_id lane record_offset finance_position property_id balance_date kind declared_closing_cents "
    "appended_at issued_at recorded_by_user_id reason correction_data_sha256 hash_version content_hash",
)
async def _oracle_corrections(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    places = "lane record_offset finance_position property_id balance_date kind declared_closing_cents"
    return [
        (
            org_id,
            correction_id.bytes,
            *picked(row, places),
            moment(row["appended_at"]),
            moment(row["issued_at"]),
            *picked(row, "recorded_by_user_id reason"),
            _digest(row["correction_data"]),
            *picked(row, "hash_version content_hash"),
        )
        for (org_id, correction_id), row in at.rows("corrections")
    ]


@of_the_oracle("adjustments", "org_id property_id balance_date correction_id before after recorded_at")
async def _oracle_adjustments(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    parts = [name.removesuffix("_cents") for name in MOVEMENTS.split()]
    return [
        (
            *day_of(row),
            correction_id.bytes,
            *(row[f"{part}_before_cents"] for part in parts),
            *(row[f"{part}_after_cents"] for part in parts),
            moment(row["recorded_at"]),
        )
        for (_, correction_id), row in at.rows("adjustments")
    ]


_FIGURES: Final = (
    "opening_balance_cents cash_received_cents bank_received_cents cash_expenses_cents bank_expenses_cents "
    "calculated_closing_balance_cents declared_closing_cents closing_balance_cents balance_discrepancy_cents"
)


@of_the_oracle("balances", f"org_id property_id balance_date version updated_at {_FIGURES}")
async def _oracle_balances(at: Transaction, _staged: Staged, moment: Moment) -> Values:
    rows = in_key_order(row for _, row in at.rows("balances"))
    return [(*day_of(row), row["version"], moment(row["updated_at"]), *picked(row, _FIGURES)) for row in rows]


@of_the_oracle("outbox", "updates")
async def _oracle_outbox(at: Transaction, _staged: Staged, _moment: Moment) -> Values:
    marks = {lane: row["published_seq"] for (lane,), row in at.rows("lanes")}
    rows = sorted((key, row) for key, row in at.rows("outbox") if key[1] > marks[key[0]])
    return [(row["updates"],) for _, row in rows]
