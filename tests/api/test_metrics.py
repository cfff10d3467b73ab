"""The page tells of every metric of the server what the code says; none names a tenant, and each is set."""

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from pipeline.api.metrics import ApiMetrics

ROOT = Path(__file__).resolve().parents[2]
# Labels with few values, known beforehand: templates of routes, never their paths.
LABELS = {"route", "method", "status", "reason", "outcome"}


def families() -> dict[str, MetricWrapperBase]:
    return {name: each for name, each in vars(ApiMetrics()).items() if isinstance(each, MetricWrapperBase)}


def rows() -> list[str]:
    return [
        f"| `{metric._name}` | {metric._type} | {', '.join(f'`{label}`' for label in metric._labelnames)} "
        f"| {metric._documentation} |"
        for metric in families().values()
    ]


def test_the_page_tells_of_every_metric_what_the_code_says() -> None:
    page = (ROOT / "docs" / "observability.md").read_text(encoding="utf-8")
    section = page.partition("\n### HTTP\n")[2].partition("\n#")[0]
    assert [line for line in section.splitlines() if line.startswith("| `folio_")] == rows()


def test_no_metric_carries_a_tenant() -> None:
    assert {label for metric in families().values() for label in metric._labelnames} <= LABELS


def test_every_metric_is_set_by_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "pipeline" / "api").glob("*.py"))
    unset = {
        name for name in families() if not re.search(rf"metrics\.{name}\.(inc|set_function|observe|labels)\(", code)
    }
    assert unset == set()
