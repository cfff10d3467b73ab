"""The page tells of every metric of reading what the code says."""

from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from pipeline.storage.replicas.choice import Condition, Health
from pipeline.storage.replicas.metrics import ReadMetrics

PAGE = Path(__file__).resolve().parents[2] / "docs" / "replicas.md"


def rows() -> list[str]:
    metrics = [each for each in vars(ReadMetrics()).values() if isinstance(each, MetricWrapperBase)]
    return [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in metrics
    ]


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `folio_")] == rows()


def test_the_share_of_replicas_is_of_all_reads() -> None:
    metrics = ReadMetrics()
    assert metrics.replica_share() == 0
    for server, reads in (("primary", 1), ("replica1", 2), ("replica2", 5)):
        metrics.reads.labels(server, "read").inc(reads)
    assert metrics.replica_share() == 7 / 8


def test_what_was_found_last_is_shown_and_every_change_is_counted() -> None:
    metrics = ReadMetrics()
    late = Health(Condition.LATE, "9-1", 100, 6.0)
    metrics.found("replica1", late, changed=True)
    metrics.found("replica1", late, changed=False)
    metrics.found("replica1", Health(Condition.SILENT), changed=True)
    value = metrics.registry.get_sample_value
    server = {"server": "replica1"}
    assert value("folio_server_usable", server) == 0
    assert (value("folio_replica_lag_bytes", server), value("folio_replica_lag_seconds", server)) == (100, 6)
    assert value("folio_server_transitions_total", server | {"condition": "late"}) == 1
    assert value("folio_server_transitions_total", server | {"condition": "silent"}) == 1
