"""Every metric of the gateway is explained on the page, and free of tenants."""

from pathlib import Path

from prometheus_client import Counter, Gauge, Histogram

from pipeline.realtime.metrics import RealtimeMetrics

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def families() -> list[Counter | Gauge | Histogram]:
    return [each for each in vars(RealtimeMetrics()).values() if isinstance(each, Counter | Gauge | Histogram)]


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    rows = [
        f"| `{each._name}` | {each._type} | {', '.join(f'`{label}`' for label in each._labelnames)} "
        f"| {each._documentation} |"
        for each in families()
    ]
    section = PAGE.read_text(encoding="utf-8").partition("\n### Realtime\n")[2].partition("\n##")[0]
    assert [line for line in section.splitlines() if line.startswith("| `folio_")] == rows


def test_no_metric_carries_a_tenant() -> None:
    assert {label for each in families() for label in each._labelnames} == {"reason"}
