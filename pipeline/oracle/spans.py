"""Which records a proof needs: everything that the lanes say they have consumed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pipeline.oracle.records import Rules


class Span(NamedTuple):
    """Offsets from `start` up to and without `end`."""

    start: int
    end: int


class UnprovenError(Exception):
    """The proof cannot be made: something that it needs is gone, or there is nothing to prove."""


def consumed(
    topic: str, positions: Mapping[int, int | None], rules: Mapping[int, Sequence[Rules]], extent: Mapping[int, Span]
) -> dict[int, Span]:
    """By lane, the records of a topic from the lane's first position in it up to its present one.

    A position is None, or the first one, where nothing was consumed. `extent` is what the topic still holds.
    Raises UnprovenError saying which lanes lack what.
    """
    begun = {lane: position for lane, position in positions.items() if position is not None}
    problems = [f"lane {lane} has a position, but no rules" for lane in begun if not rules.get(lane)]
    if problems:
        raise UnprovenError("; ".join(problems))
    spans = {lane: Span(rules[lane][0].position, position) for lane, position in begun.items()}
    spans = {lane: span for lane, span in spans.items() if span.start < span.end}
    problems = [
        f"{topic}, lane {lane}: {lack}" for lane, span in spans.items() for lack in _lacks(span, extent.get(lane))
    ]
    if problems:
        raise UnprovenError("; ".join(problems))
    return spans


def _lacks(span: Span, held: Span | None) -> Iterator[str]:
    if held is None:
        yield "the topic has no such partition"
        return
    if held.start > span.start:
        gone = min(held.start, span.end) - span.start
        yield f"{gone:,} of {span.end - span.start:,} records have left the topic, which begins at {held.start}"
    if held.end < span.end:
        yield f"its position is {span.end}, but the topic ends at {held.end}: another topic was consumed"
