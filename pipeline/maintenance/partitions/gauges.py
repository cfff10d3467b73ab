"""The partitions as metrics. A registry of their own: they belong to the database, and no worker tells them."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Gauge

from pipeline.maintenance.partitions.standing import Standing
from pipeline.maintenance.partitions.state import State


def gauges(state: State, standings: Sequence[Standing]) -> CollectorRegistry:
    """What monitoring asks for, of one moment."""
    registry = CollectorRegistry()
    runway = Gauge(
        "folio_partition_runway_days",
        "Days until rows of now would find no month of their own.",
        ["table"],
        registry=registry,
    )
    lag = Gauge(
        "folio_partition_cleanup_lag_months",
        "Months past retention that are still in their table.",
        ["table"],
        registry=registry,
    )
    waiting = Gauge(
        "folio_partition_waiting_months",
        "Expired months whose rows are not yet archived and dropped.",
        ["table"],
        registry=registry,
    )
    default_rows = Gauge("folio_partition_default_rows", "Rows in the default partition.", ["table"], registry=registry)
    size = Gauge(
        "folio_partition_bytes",
        "Size of a partition with its indexes.",
        ["table", "partition"],
        registry=registry,
    )
    rows = Gauge(
        "folio_partition_rows",
        "Rows of a partition, as the planner believes.",
        ["table", "partition"],
        registry=registry,
    )
    for each in standings:
        runway.labels(each.table).set(each.runway_days)
        lag.labels(each.table).set(each.cleanup_lag_months)
        waiting.labels(each.table).set(each.waiting_months)
        default_rows.labels(each.table).set(each.default_rows)
    for partition in state.partitions:
        size.labels(partition.table, partition.name).set(partition.bytes)
        rows.labels(partition.table, partition.name).set(partition.rows)
    return registry
