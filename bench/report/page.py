"""The page: targets first, then each scenario with its charts, then on what it was measured."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby
from typing import Final

from bench.report.charts import Bar, Curve, bars, curves, stacked
from bench.results import Cell, Compared, Figure, Results, ScenarioResult, Series, Table, Verdict
from bench.summary import shown

_MET: Final = {True: ("met", "yes"), False: ("not met", "no"), None: ("not measured", "none")}
# No network: the style is here, fonts are the reader's.
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --bar: #4878a8; --yes: #2e7d32; --no: #c62828 }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
th, td { text-align: left; padding: .2rem .9rem .2rem 0; border-bottom: 1px solid var(--line); vertical-align: top }
td.number, th.number { text-align: right }
.yes { color: var(--yes); font-weight: 600 } .no { color: var(--no); font-weight: 600 } .none { opacity: .6 }
figure { margin: 1.5rem 0 } figcaption { font-weight: 600 }
svg { width: 100%; max-width: 45rem; font-size: 12px } svg text { fill: currentColor }
svg .label { text-anchor: end } svg .middle { text-anchor: middle }
.bar { fill: var(--bar) } .bar.other { fill: #9e9e9e } .whisker { stroke: currentColor; stroke-width: 1.5 }
.grid { stroke: var(--line) } .curve { fill: none; stroke-width: 2 }
.c0 { stroke: #4878a8; fill: #4878a8; color: #4878a8 } .c1 { stroke: #d1711f; fill: #d1711f; color: #d1711f }
.c2 { stroke: #3a923a; fill: #3a923a; color: #3a923a } .c3 { stroke: #b03a3a; fill: #b03a3a; color: #b03a3a }
.c4 { stroke: #7d5ba6; fill: #7d5ba6; color: #7d5ba6 } .c5 { stroke: #7a7a7a; fill: #7a7a7a; color: #7a7a7a }
polyline.curve { fill: none } rect.piece { stroke: Canvas; stroke-width: .5 } svg .within { fill: #fff }
.note { opacity: .8 } .legend span { margin-right: 1rem }
"""
_CPU: Final = "cpu_us_"
_ALONE: Final = Compared()  # with no earlier run
_RATES: Final = "ev/s"


def page(results: Results, compared: Compared = _ALONE) -> str:
    """The whole report as one HTML document."""
    around = results.environment
    made = f"{results.began_at}, revision {around.revision}, {around.cores} cores, {results.seconds / 60:.0f} minutes."
    body = [
        f"<h1>Folio Stream: benchmark, {escape(results.form)} form</h1>",
        f"<p>{escape(made)} Every figure is the median of the rounds; whiskers span least to most.</p>",
        "<h2>Targets</h2>",
        _verdicts(results.verdicts),
        *(_scenario(scenario) for scenario in results.scenarios),
        _compared(compared),
        "<h2>Environment</h2>",
        _environment(results),
    ]
    title = f"Folio Stream benchmark {results.began_at[:10]}"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _verdicts(verdicts: Iterable[Verdict]) -> str:
    rows = []
    for each in verdicts:
        word, kind = _MET[each.met]
        cells = (f"{each.scenario}: {each.target}", each.bound, each.figure)
        rows.append(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + f'<td class="{kind}">{word}</td></tr>'
        )
    return _rows(("target", "bound", "figure", ""), rows)


def _scenario(scenario: ScenarioResult) -> str:
    parts = [f"<h2>{escape(scenario.name)}</h2>", f"<p>{escape(scenario.title)}</p>"]
    if scenario.missing is not None:
        return "\n".join([*parts, f'<p class="no">missing: {escape(scenario.missing)}</p>'])
    parts += _workload(scenario)
    if scenario.proof is not None:
        right = scenario.proof.differences == 0
        parts.append(f'<p class="{"yes" if right else "no"}">proof: {escape(scenario.proof.summary)}</p>')
    parts += _charts(scenario)
    parts += [_table(table) for table in scenario.tables]
    parts.append(f"<details><summary>every figure</summary>{_figures(scenario.figures)}</details>")
    parts += [f'<p class="note">{escape(note)}</p>' for note in scenario.notes]
    return "\n".join(parts)


def _workload(scenario: ScenarioResult) -> Iterator[str]:
    if scenario.workload is not None:
        sent, census = scenario.workload, scenario.workload.census
        yield (
            f"<p>Keys: {escape(sent.distribution)}. {escape(sent.mixture)}. Distinct: {census.organisations:,} "
            f"organisations (the hottest has {census.hottest_org_share:.2%} of the events), {census.properties:,} "
            f"properties, {census.property_days:,} property days, {census.transactions:,} transactions; "
            f"{census.value_bytes / max(census.messages, 1):,.0f} bytes a message.</p>"
        )
    if scenario.parameters:
        yield (
            "<p>" + escape(", ".join(f"{name} {_cell(value)}" for name, value in scenario.parameters.items())) + "</p>"
        )


def _charts(scenario: ScenarioResult) -> Iterator[str]:
    rates = [_bar(figure, _rate_label(figure.name)) for figure in scenario.figures if figure.unit == _RATES]
    if rates:
        yield bars("rates", _RATES, rates)
    cpu = [_bar(figure, figure.name.removeprefix(_CPU)) for figure in scenario.figures if figure.name.startswith(_CPU)]
    if cpu:
        yield bars("CPU an event, by part", "µs", cpu)
    for stack in scenario.stacks:
        yield stacked(stack.title, stack.unit, [(each.label, each.pieces) for each in stack.bars])
    # Curves of the same axes stand side by side in one chart; they follow one another in the results.
    for (x_label, y_label, logarithmic), group in groupby(scenario.series, _axes):
        lines = list(group)
        title = lines[0].name if len(lines) == 1 else f"{y_label} by {x_label}"
        drawn = [Curve(each.name, each.x, each.y, each.least, each.most) for each in lines]
        yield curves(title, x_label, y_label, drawn, x_logarithmic=logarithmic)


def _rate_label(name: str) -> str:
    # `drain_events_per_second` is a drain's; the chart says that it is a rate.
    return name.removesuffix("_events_per_second")


def _axes(series: Series) -> tuple[str, str, bool]:
    return series.x_label, series.y_label, series.x_logarithmic


def _bar(figure: Figure, label: str) -> Bar:
    kind = "other" if label in ("other", "harness") else ""
    return Bar(label.replace("_", " "), figure.median, figure.least, figure.most, kind)


def _table(table: Table) -> str:
    rows = []
    for row in table.rows:
        cells = (
            f'<td class="number">{_cell(cell)}</td>'
            if isinstance(cell, int | float)
            else f"<td>{escape(_cell(cell))}</td>"
            for cell in row
        )
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f"<h3>{escape(table.title)}</h3>" + _rows(table.columns, rows)


def _figures(figures: Iterable[Figure]) -> str:
    rows = []
    for figure in figures:
        numbers = "".join(
            f'<td class="number">{shown(value)}</td>' for value in (figure.median, figure.least, figure.most)
        )
        rows.append(f"<tr><td>{escape(figure.name)}</td>{numbers}<td>{escape(figure.unit)}</td></tr>")
    return _rows(("figure", "median", "least", "most", "unit"), rows)


def _compared(compared: Compared) -> str:
    if not compared.comparisons and not compared.unlike:
        return ""
    rows = []
    for each in compared.comparisons:
        ratio = "-" if each.ratio is None else f"{each.ratio:.3f}"
        worse = each.ratio is not None and each.apart and (each.ratio < 1) == (each.better == "more")
        kind = "" if not each.apart or each.better == "neither" else "no" if worse else "yes"
        cells = f"<td>{escape(f'{each.scenario}.{each.figure}')}</td>" + "".join(
            f'<td class="number">{shown(value)}</td>' for value in (each.then, each.now)
        )
        rows.append(f'<tr>{cells}<td>{escape(each.unit)}</td><td class="number {kind}">{ratio}</td></tr>')
    note = "<p>Coloured where the ranges of the rounds do not touch.</p>"
    note += "".join(f'<p class="no">unlike: {escape(difference)}</p>' for difference in compared.unlike)
    return "<h2>Compared with an earlier run</h2>" + note + _rows(("figure", "then", "now", "unit", "now / then"), rows)


def _environment(results: Results) -> str:
    around = results.environment
    facts: dict[str, str] = {
        "machine": f"{around.cores} cores, {around.cpu_model}, {around.memory_mib:,} MiB",
        "system": f"{around.system}, data on {around.filesystem}, Python {around.python}",
        "load average of the minute before": f"{around.load_average:.2f}",
        "million loops of Python a second, one core": _measured(around.million_loops_per_second),
        "servers": "local stack" if around.local_stack else "external servers",
    }
    facts |= around.servers | around.server_settings | around.packages | around.settings
    return _rows((), [f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in facts.items()])


def _measured(number: float | None) -> str:
    return "not measured" if number is None else shown(number)


def _rows(columns: Sequence[str], rows: Iterable[str]) -> str:
    head = f"<tr>{''.join(f'<th>{escape(column)}</th>' for column in columns)}</tr>" if columns else ""
    return f"<table>{head}{''.join(rows)}</table>"


def _cell(cell: Cell) -> str:
    if isinstance(cell, float):
        return shown(cell)
    return "-" if cell is None else f"{cell:,}" if isinstance(cell, int) else cell
