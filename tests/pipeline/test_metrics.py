"""Every metric is explained, set by something, and free of tenants."""

import re
from enum import StrEnum
from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from pipeline.metrics import Metrics

REPOSITORY = Path(__file__).parents[2]
# Labels with few values, known beforehand. Never an organisation, a property, a user or a key: there are ten million.
LABELS = {"outcome", "result", "effect", "cause", "lane", "step", "error"}
# Defined, and set by nothing: `Drain.depth` is told to nobody yet. Strict: once set, the name must go.
NOT_YET: set[str] = set()


def families() -> dict[str, Counter | Gauge | Histogram]:
    return {name: metric for name, metric in vars(Metrics()).items() if isinstance(metric, Counter | Gauge | Histogram)}


def test_every_metric_says_in_a_sentence_what_it_counts() -> None:
    described = list(Metrics().registry.collect())
    assert len(described) == len(families())
    for metric in described:
        assert re.fullmatch(r"folio_[a-z_]+", metric.name)
        assert re.fullmatch(r"[A-Z].{10,}\.", metric.documentation), metric.name


def test_no_metric_carries_a_tenant() -> None:
    assert {label for metric in families().values() for label in metric._labelnames} <= LABELS


def test_every_metric_is_set_by_the_code() -> None:
    code = "\n".join(
        source.read_text(encoding="utf-8")
        for folder in ("batchers", "consumers", "pipeline")
        for source in (REPOSITORY / folder).rglob("*.py")
    )
    unset = {name for name in families() if not re.search(rf"(metrics|self)\.{name}\.(inc|set|observe|labels)\(", code)}
    assert unset == NOT_YET


def rows() -> list[str]:
    """The rows of the page's table."""
    return [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in families().values()
    ]


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    page = (REPOSITORY / "docs" / "observability.md").read_text(encoding="utf-8")
    of_workers = page.partition("\n## Metrics\n")[2].partition("\n##")[0]
    assert [line for line in of_workers.splitlines() if line.startswith("| `folio_")] == rows()


def test_each_worker_has_metrics_of_its_own() -> None:
    one, other = Metrics(), Metrics()
    one.published.inc(5)
    assert other.registry.get_sample_value("folio_updates_published_total") == 0


class Outcome(StrEnum):
    APPLIED = "applied"
    STALE = "stale"


def test_a_committed_batch_is_counted_by_rows_time_and_outcome() -> None:
    metrics = Metrics()
    metrics.committed(7, [(Outcome.APPLIED, 5), (Outcome.STALE, 2)], 0.03)
    metrics.committed(1, [(Outcome.APPLIED, 1)], 0.2)
    value = metrics.registry.get_sample_value
    assert value("folio_records_total", {"outcome": "applied"}) == 6
    assert value("folio_records_total", {"outcome": "stale"}) == 2
    assert (value("folio_batch_rows_count"), value("folio_batch_rows_sum")) == (2, 8)
    assert value("folio_commit_seconds_bucket", {"le": "0.05"}) == 1
