"""The report needs no network, hides nothing, and draws what was measured."""

import re
from xml.etree import ElementTree as ET

import msgspec
import pytest

from bench.report.charts import Bar, Curve, bars, curves, ticks
from bench.report.page import page
from bench.results import Series, Table, compare
from bench.summary import as_text
from bench.targets import judge
from tests.bench.made import rate, results, scenario


def drawn(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def test_a_page_asks_nobody_for_anything() -> None:
    text = page(results(scenario("drain", rate(1, 2, 3))))
    assert not re.search(r"https?:|src=|@import|url\(", text)


def test_a_page_tells_how_fast_the_machine_was() -> None:
    assert "<td>million loops of Python a second, one core</td><td>14.2</td>" in page(results())
    unknown = msgspec.structs.replace(results().environment, million_loops_per_second=None)
    assert "not measured" in page(msgspec.structs.replace(results(), environment=unknown))


def test_a_page_shows_what_is_missing_and_what_is_wrong() -> None:
    run = results(scenario("peers", missing="quix: not installed"), scenario("drain", rate(1), differences=7))
    text = page(run)
    assert "missing: quix: not installed" in text
    assert '<p class="no">proof: 7 differences</p>' in text


def test_text_of_others_is_no_markup() -> None:
    assert "a &lt;model&gt;" in page(results())
    assert "a <model>" not in page(results())


def test_tables_and_series_are_on_the_page() -> None:
    found = scenario("drain", rate(1))
    found.tables.append(Table("rows written", ["table", "rows"], [["events", 1.5], ["outbox", None]]))
    found.series.append(Series("course", "seconds", "events/s", [0.0, 1.0], [10.0, 20.0]))
    text = page(results(found))
    assert "rows written" in text
    assert "<td>events</td>" in text
    assert "polyline" in text


def test_the_summary_names_each_target_with_its_figure() -> None:
    run = results(scenario("drain", rate(40_000), differences=0))
    run.verdicts.extend(judge(run))
    lines = as_text(run, compare(run, run)).splitlines()
    [drain] = [line for line in lines if "mixed events drained" in line]
    assert "40,000 ev/s" in drain
    assert drain.endswith("NOT MET")
    assert any("differences that the oracle found" in line and line.endswith("met") for line in lines)


def test_bars_are_as_long_as_their_values() -> None:
    figure = drawn(bars("rates", "ev/s", [Bar("one", 10, 10, 10), Bar("two", 20, 15, 20)]))
    one, two = (float(rect.get("width", "0")) for rect in figure.iter("rect"))
    assert two == pytest.approx(2 * one, rel=0.01)


def test_only_a_range_has_a_whisker() -> None:
    def whiskers(bar: Bar) -> int:
        return sum(line.get("class") == "whisker" for line in drawn(bars("rates", "ev/s", [bar])).iter("line"))

    assert whiskers(Bar("one round", 10, 10, 10)) == 0
    assert whiskers(Bar("three rounds", 10, 8, 12)) == 3


def test_a_logarithmic_axis_spreads_powers_evenly() -> None:
    line = Curve("rate", [10_000, 100_000, 1_000_000], [3, 2, 1])
    [path] = drawn(curves("orgs", "organisations", "ev/s", [line], x_logarithmic=True)).iter("polyline")
    first, second, third = (float(point.split(",")[0]) for point in path.get("points", "").split())
    assert second - first == pytest.approx(third - second, abs=0.2)


def test_the_y_axis_begins_at_zero() -> None:
    figure = drawn(curves("rate", "x", "ev/s", [Curve("rate", [1, 2], [1_000, 1_010])]))
    assert "0" in [text.text for text in figure.iter("text")]


@pytest.mark.parametrize(
    ("least", "most", "expected"),
    [
        (0, 50_000, [0, 10_000, 20_000, 30_000, 40_000, 50_000]),
        (0, 7, [0, 2, 4, 6, 8]),
        (0, 0.3, [0, 0.1, 0.2, 0.3]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_and_reach_the_top(least: float, most: float, expected: list[float]) -> None:
    assert ticks(least, most) == pytest.approx(expected)
