"""The page tells of every metric of purges what the code says."""

from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from pipeline.cdn.metrics import CdnMetrics

PAGE = Path(__file__).parents[2] / "docs" / "cache.md"


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    families = [each for each in vars(CdnMetrics()).values() if isinstance(each, MetricWrapperBase)]
    rows = [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in families
    ]
    page = PAGE.read_text(encoding="utf-8").splitlines()
    assert [line for line in page if line.startswith("| `folio_cdn_")] == rows
