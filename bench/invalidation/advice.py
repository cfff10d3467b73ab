"""Which settings the figures speak for: plain functions of them."""

from collections.abc import Sequence

from bench.invalidation.sustained import Sustained

# A bigger call must earn its keep: below this share of the best rate a size is too small.
_RATE_SHARE = 0.9
# A read of the cache is worth having only while it is much faster than the database (requirement 20: services < 50 ms).
_READ_P99_MS_MAX = 10.0


def groups_advised(measured: Sequence[Sustained], quiet_p99_ms: float) -> int:
    """Properties a call: the fewest that come near the best rate, among those that leave readers in peace.

    Readers are in peace below 10 ms, or, on a machine that is slower than that by itself, below twice what they wait
    without any invalidation. Where no size leaves them in peace, it is the one that disturbs them least.
    """
    bound = max(_READ_P99_MS_MAX, 2 * quiet_p99_ms)
    peaceful = [each for each in measured if each.reads.p99_ms <= bound]
    if not peaceful:
        return min(measured, key=lambda each: each.reads.p99_ms).groups_max
    best = max(each.floors_per_second for each in peaceful)
    return min(each.groups_max for each in peaceful if each.floors_per_second >= best * _RATE_SHARE)
