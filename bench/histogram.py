"""Latencies to three digits, however many there are: an HdrHistogram, in milliseconds."""

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]  # ships no types

_US_MAX = 600_000_000  # ten minutes: what takes longer counts as that
_DIGITS = 3


class Histogram:
    """Counts durations. Percentiles of none are 0."""

    def __init__(self) -> None:
        self._counts = HdrHistogram(1, _US_MAX, _DIGITS)

    @property
    def count(self) -> int:
        return int(self._counts.get_total_count())

    def record_ns(self, nanoseconds: int) -> None:
        """A duration. One below a microsecond counts as one: clocks are read in another order than things happen."""
        self._counts.record_value(min(max(nanoseconds // 1_000, 1), _US_MAX))

    def percentile_ms(self, percent: float) -> float:
        """The duration that so many percent do not exceed."""
        return float(self._counts.get_value_at_percentile(percent)) / 1_000 if self.count else 0.0

    @property
    def max_ms(self) -> float:
        return float(self._counts.get_max_value()) / 1_000 if self.count else 0.0

    def add(self, other: "Histogram") -> None:
        """What the other has counted, too."""
        self._counts.add(other._counts)  # noqa: SLF001 - of our own kind

    def reset(self) -> None:
        self._counts.reset()
