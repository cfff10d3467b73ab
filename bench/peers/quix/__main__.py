"""Rows and running totals, each through a PostgreSQL sink that upserts.

The totals are state, in RocksDB and in a changelog topic. Exactly once within Kafka: a checkpoint writes both sinks,
then commits changelog and offsets in one Kafka transaction. After a kill between the two the state is that of the last
checkpoint, so what is written again is the same.
"""

from datetime import datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from quixstreams import Application
from quixstreams.sinks.community.postgresql import PostgreSQLSink

from bench.peers.arguments import SESSION_TIMEOUT_SECONDS, Arguments, arguments, tell_first_fetch
from bench.peers.days import FIGURES, ZONE, column

_CHECKPOINT_RECORDS: Final = 20_000

_Document = dict[str, Any]


def main(given: Arguments) -> None:
    app = Application(
        given.bootstrap,
        consumer_group=given.group,
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_every=_CHECKPOINT_RECORDS,
        commit_interval=2.0,
        state_dir=given.state_dir,
        auto_create_topics=True,
        loglevel="WARNING",
        consumer_extra_config={"session.timeout.ms": SESSION_TIMEOUT_SECONDS * 1000},
    )
    stream = app.dataframe(app.topic(given.topic, key_deserializer="str", value_deserializer="json"))
    first = True

    def row_of(event: _Document) -> _Document:
        nonlocal first
        if first:
            tell_first_fetch()
            first = False
        return _row(event)

    # Read once, for both: the row is what the totals are made from.
    rows = stream.apply(row_of)
    rows.sink(_sink(given, "rows", ("org_id", "id")))
    rows.apply(_total, stateful=True).sink(_sink(given, "daily_balances", ("org_id", "property_id", "balance_date")))
    app.run()


def _row(event: _Document) -> _Document:
    data = event["data"]
    # No NULL: see tables.sql.
    occurred_at = datetime.fromisoformat(event["occurred_at"])
    return {
        "org_id": event["org_id"],
        "id": event["aggregate_id"],
        "type": event["type"],
        "version": event["version"],
        "property_id": event["property_id"],
        "occurred_at": occurred_at,
        "balance_date": occurred_at.astimezone(ZONE).date(),
        "amount_cents": data["amount_cents"],
        "payment_mode": data["payment_mode"],
        "status": data["status"],
        "currency": data.get("currency") or "",
        "category": data.get("category") or "",
        "description": data.get("description") or "",
        "bank_reference": data.get("bank_reference") or "",
        "source": data.get("source") or "",
        "created_by_user_id": event["recorded_by"]["user_id"],
    }


def _total(row: _Document, state: Any) -> _Document:
    """The day's figures with this row in them. The record's key is the organisation, so its state is beside it."""
    property_id, day = row["property_id"], row["balance_date"]
    key = f"{property_id}/{day}"
    figures: list[int] = state.get(key, default=[0, 0, 0, 0])
    if row["status"] == "approved":
        figures[column(row["type"], row["payment_mode"])] += row["amount_cents"]
        state.set(key, figures)
    return {
        "org_id": row["org_id"],
        "property_id": property_id,
        "balance_date": day,
        **dict(zip(FIGURES, figures, strict=True)),
    }


def _sink(given: Arguments, table: str, key: tuple[str, ...]) -> PostgreSQLSink:
    parts = urlsplit(given.database_url)
    options = {name: values[0] for name, values in parse_qs(parts.query).items()}
    return PostgreSQLSink(
        host=options.pop("host", parts.hostname),
        port=int(options.pop("port", parts.port or 5432)),
        dbname=parts.path.lstrip("/"),
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        table_name=table,
        schema_name=given.schema,
        schema_auto_update=False,
        primary_key_columns=key,
        upsert_on_primary_key=True,
        include_metadata=False,
        **options,
    )


if __name__ == "__main__":
    main(arguments())
