"""Charts as inline SVG: bars with whiskers from least to most, and curves. Values in, markup out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import floor, log10
from typing import Final

from bench.summary import shown

_WIDTH: Final = 720
_LABEL: Final = 230
_ROW: Final = 26
_VALUE: Final = 110
_PLOT_HEIGHT: Final = 240
_MARGIN: Final = 56
_TICKS_MAX: Final = 6
_STACK_LABEL: Final = 140
_LETTER: Final = 8.0  # wide, about


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar: the median, and the range that its whisker shows."""

    label: str
    value: float
    least: float
    most: float
    kind: str = ""  # a class of the style sheet


def bars(title: str, unit: str, rows: Sequence[Bar]) -> str:
    """Horizontal bars from 0; the whisker spans least to most."""
    top = max((row.most for row in rows), default=0.0) or 1.0
    scale = (_WIDTH - _LABEL - _VALUE) / top
    height = _ROW * len(rows) + 8
    parts = [_svg(height, f"{title}, in {unit}")]
    for number, row in enumerate(rows):
        y = number * _ROW + 4
        middle = y + _ROW / 2 - 2
        width, end = max(row.value * scale, 0.5), _LABEL + row.most * scale
        kind = f"bar {escape(row.kind)}"
        parts += [
            f'<text x="{_LABEL - 8}" y="{middle + 4:.1f}" class="label">{escape(row.label)}</text>',
            f'<rect x="{_LABEL}" y="{y + 3}" width="{width:.1f}" height="{_ROW - 10}" class="{kind}"/>',
            *_whisker(_LABEL + row.least * scale, end, middle),
            f'<text x="{end + 8:.1f}" y="{middle + 4:.1f}">{shown(row.value)} {escape(unit)}</text>',
        ]
    return _figure(title, [*parts, "</svg>"])


def stacked(title: str, unit: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """Horizontal bars of pieces from 0, of one name in one colour; beneath them what each bar is made of."""
    top = max((sum(pieces.values()) for _, pieces in rows), default=0.0) or 1.0
    scale = (_WIDTH - _STACK_LABEL - _VALUE) / top
    colours = {name: f"c{number % 6}" for number, name in enumerate(dict.fromkeys(n for _, each in rows for n in each))}
    parts = [_svg(_ROW * len(rows) + 8, f"{title}, in {unit}")]
    for number, (label, pieces) in enumerate(rows):
        y = number * _ROW + 4
        middle, left = y + _ROW / 2 + 2, float(_STACK_LABEL)
        parts.append(f'<text x="{_STACK_LABEL - 8}" y="{middle:.1f}" class="label">{escape(label)}</text>')
        for name, value in pieces.items():
            parts += _piece(name, f"{shown(value)} {unit}", left, y, value * scale, colours[name])
            left += value * scale
        total = f"{shown(sum(pieces.values()))} {escape(unit)}"
        parts.append(f'<text x="{left + 8:.1f}" y="{middle:.1f}">{total}</text>')
    return _figure(title, [*parts, "</svg>", *(_made_of(label, pieces) for label, pieces in rows if len(pieces) > 1)])


def _made_of(label: str, pieces: Mapping[str, float]) -> str:
    told = ", ".join(f"{name} {shown(value)}" for name, value in pieces.items())
    return f'<p class="legend">{escape(f"{label}: {told}")}</p>'


def _piece(name: str, value: str, x: float, y: float, width: float, colour: str) -> Iterator[str]:
    label = escape(f"{name}: {value}")
    yield f'<rect x="{x:.1f}" y="{y + 1}" width="{width:.1f}" height="{_ROW - 6}" class="{colour} piece">'
    yield f"<title>{label}</title></rect>"
    if width > len(name) * _LETTER:
        yield f'<text x="{x + 3:.1f}" y="{y + _ROW / 2 + 2:.1f}" class="within">{escape(name)}</text>'


@dataclass(frozen=True, slots=True)
class Curve:
    """Points of one curve, in the order of x; `least` and `most` are empty, or as long."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    least: Sequence[float] = ()
    most: Sequence[float] = ()


def curves(title: str, x_label: str, y_label: str, lines: Sequence[Curve], *, x_logarithmic: bool = False) -> str:
    """Curves over one pair of axes. The y axis begins at 0: a small change must not look like a great one."""
    lines = [line for line in lines if line.x]
    if not lines:
        return ""
    highest = max(max((*line.y, *line.most)) for line in lines) or 1.0
    axis = _Axis([x for line in lines for x in line.x], x_logarithmic)
    y_ticks = ticks(0.0, highest)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = axis.share(x), y / y_ticks[-1]
        return _MARGIN + across * (_WIDTH - 2 * _MARGIN), _PLOT_HEIGHT - up * (_PLOT_HEIGHT - 16)

    parts = [_svg(_PLOT_HEIGHT + 44, f"{title}: {y_label} by {x_label}")]
    parts += [part for tick in y_ticks for part in _level(place(axis.least, tick)[1], tick)]
    parts += [
        f'<text x="{place(tick, 0)[0]:.1f}" y="{_PLOT_HEIGHT + 18}" class="middle">{shown(tick)}</text>'
        for tick in axis.ticks()
    ]
    parts.append(f'<text x="{_WIDTH / 2}" y="{_PLOT_HEIGHT + 38}" class="middle">{escape(x_label)}</text>')
    parts += [part for number, line in enumerate(lines) for part in _curve(line, f"c{number % 6}", place)]
    legend = "".join(f'<span class="c{n % 6}">■ {escape(line.name)}</span> ' for n, line in enumerate(lines))
    below = f'<p class="legend">{legend}</p>' if len(lines) > 1 else ""
    return _figure(f"{title} ({y_label})", [*parts, "</svg>", below])


def _level(y: float, tick: float) -> list[str]:
    return [
        f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>',
        f'<text x="{_MARGIN - 6}" y="{y + 4:.1f}" class="label">{shown(tick)}</text>',
    ]


def _curve(line: Curve, colour: str, place: Callable[[float, float], tuple[float, float]]) -> Iterator[str]:
    points = [place(x, y) for x, y in zip(line.x, line.y, strict=True)]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    yield f'<polyline points="{path}" class="curve {colour}"/>'
    for x, y in points:
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="{colour}"/>'
    if line.least and line.most:
        for x, low, high in zip(line.x, line.least, line.most, strict=True):
            (at, bottom), (_, upper) = place(x, low), place(x, high)
            yield f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:.1f}" y2="{upper:.1f}" class="whisker"/>'


def ticks(least: float, most: float) -> list[float]:
    """Round numbers from below `least` to at or above `most`; steps are 1, 2 or 5 times a power of ten."""
    if most <= least:
        return [least]
    rough = (most - least) / (_TICKS_MAX - 1)
    power = 10 ** floor(log10(rough))
    step = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= rough), 10 * power)
    first = floor(least / step)
    found = [first * step]
    while found[-1] < most:
        first += 1
        found.append(first * step)
    return found


class _Axis:
    """Where a value lies between the least and the most, as a share."""

    def __init__(self, values: Iterable[float], logarithmic: bool) -> None:
        self._values = sorted(set(values))
        # What is not above zero has no logarithm: such a curve is drawn evenly.
        self._logarithmic = logarithmic and self._values[0] > 0
        self.least, self._most = self._values[0], self._values[-1]

    def share(self, value: float) -> float:
        if self._most == self.least:
            return 0.5
        if self._logarithmic:
            return log10(value / self.least) / log10(self._most / self.least)
        return (value - self.least) / (self._most - self.least)

    def ticks(self) -> list[float]:
        # The values that were measured say more than round numbers, where they fit.
        if len(self._values) <= _TICKS_MAX + 3:
            return self._values
        return [tick for tick in ticks(self.least, self._most) if self.least <= tick <= self._most]


def _whisker(left: float, right: float, y: float) -> list[str]:
    if right - left < 1:
        return []
    return [
        f'<line x1="{left:.1f}" x2="{right:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="whisker"/>',
        *(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - 4:.1f}" y2="{y + 4:.1f}" class="whisker"/>'
            for x in (left, right)
        ),
    ]


def _svg(height: float, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height:.0f}" role="img" aria-label="{escape(label)}">'


def _figure(title: str, parts: Iterable[str]) -> str:
    return f"<figure><figcaption>{escape(title)}</figcaption>{''.join(parts)}</figure>"
