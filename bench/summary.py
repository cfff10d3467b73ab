"""Results as text: figures, comparison, and each target with its figure, met or not."""

from collections.abc import Iterator, Sequence

from bench.results import Cell, Compared, Figure, Results, ScenarioResult, Table, Verdict

_MET = {True: "met", False: "NOT MET", None: "-"}


def as_text(results: Results, compared: Compared) -> str:
    """For people; the targets come last."""
    return "\n".join([*_scenarios(results), *_compared(compared), *_verdicts(results.verdicts)])


def _scenarios(results: Results) -> Iterator[str]:
    for scenario in results.scenarios:
        yield ""
        yield f"{scenario.name}: {scenario.title}"
        yield from _scenario(scenario)


def _scenario(scenario: ScenarioResult) -> Iterator[str]:
    if scenario.missing is not None:
        yield f"  missing: {scenario.missing}"
        return
    if scenario.workload is not None:
        census = scenario.workload.census
        yield f"  {scenario.workload.distribution}"
        yield f"  {scenario.workload.mixture}"
        yield (
            f"  distinct: {census.organisations:,} organisations, {census.properties:,} properties, "
            f"{census.property_days:,} property days, {census.transactions:,} transactions"
        )
    width = max((len(figure.name) for figure in scenario.figures), default=0)
    for figure in scenario.figures:
        yield f"  {figure.name:<{width}}{_ranged(figure)}"
    for table in scenario.tables:
        if table.in_text:
            yield from _table(table)
    yield from (f"  {note}" for note in scenario.notes if note.startswith(("Disturbed", "Missing", "Wrong")))
    if scenario.proof is not None:
        yield f"  proof: {scenario.proof.summary}"


def _table(table: Table) -> Iterator[str]:
    """Columns as wide as their widest cell; numbers stand to the right."""
    written = [list(table.columns), *([_cell(cell) for cell in row] for row in table.rows)]
    widths = [max(map(len, column)) for column in zip(*written, strict=True)]
    numbers = [any(isinstance(cell, int | float) for cell in column) for column in zip(*table.rows, strict=True)]
    yield f"  {table.title}"
    for row in written:
        cells = (
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(row, widths, numbers, strict=True)
        )
        yield f"    {'  '.join(cells)}".rstrip()


def _cell(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else shown(cell)


def _ranged(figure: Figure) -> str:
    median = f"{shown(figure.median):>12} {figure.unit:<10}"
    if len(figure.rounds) == 1:
        return median
    return f"{median} ({shown(figure.least)} to {shown(figure.most)}, {len(figure.rounds)} rounds)"


def _compared(compared: Compared) -> Iterator[str]:
    if not compared.comparisons and not compared.unlike:
        return
    yield ""
    yield "compared with the earlier run (now / then; * where the ranges of the rounds do not touch)"
    yield from (f"  unlike: {difference}" for difference in compared.unlike)
    for each in compared.comparisons:
        ratio = "-" if each.ratio is None else f"{each.ratio:.3f}"
        name = f"{each.scenario}.{each.figure}"
        values = f"{shown(each.then):>12} {shown(each.now):>12} {each.unit:<10}"
        yield f"  {name:<48}{values} {ratio:>7}{' *' if each.apart else ''}"


def _verdicts(verdicts: Sequence[Verdict]) -> Iterator[str]:
    yield ""
    yield f"{'target':<66}{'bound':<32}{'figure':<26}"
    for each in verdicts:
        yield f"{each.scenario + ': ' + each.target:<66}{each.bound:<32}{each.figure:<26}{_MET[each.met]}"


def shown(number: float) -> str:
    """A number with as many digits as mean something."""
    if number == 0 or abs(number) >= 100:
        return f"{number:,.0f}"
    return f"{number:.3g}"
