"""The page tells of every metric of the guards what the code says."""

from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from pipeline.resilience.metrics import ResilienceMetrics

DOCS = Path(__file__).resolve().parents[2] / "docs"


def rows() -> list[str]:
    metrics = [each for each in vars(ResilienceMetrics()).values() if isinstance(each, MetricWrapperBase)]
    return [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in metrics
    ]


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    page = (DOCS / "observability.md").read_text(encoding="utf-8")
    section = page.partition("\n### Guarded calls\n")[2].partition("\n#")[0]
    assert [line for line in section.splitlines() if line.startswith("| `folio_")] == rows()
