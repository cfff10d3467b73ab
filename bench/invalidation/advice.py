"""Which settings the figures speak for: plain functions of them.

They are judged by CPU, which neighbours on the machine change little, and not by rates, which these halve at will.
"""

from collections.abc import Sequence
from statistics import median
from typing import Final

from batchers.invalidator import CALL_DAYS_MAX
from bench.invalidation.sustained import Sustained

# A bigger call must earn its keep: sizes whose floors cost up to so much more than the cheapest are as good.
_CPU_RATIO_MAX: Final = 1.15
# The cache serves nobody else during a call. A read takes a fraction of this over a network. Here nobody has asked for
# the days, as for most in production; floors of days that are cached cost several times as much (`with_values`).
_BLOCKED_MS_MAX: Final = 2.0


def groups_advised(measured: Sequence[Sequence[Sustained]]) -> int:
    """Properties a call, of shapes by their rounds: the fewest that are about as cheap as the cheapest.

    Those that would keep the cache from everybody else for too long do not count; where all would, the fewest it is.
    """
    brief = [shape for shape in measured if blocked_ms(shape) <= _BLOCKED_MS_MAX]
    if not brief:
        return min(shape[0].groups_max for shape in measured)
    least = min(cpu_us(shape) for shape in brief)
    return min(shape[0].groups_max for shape in brief if cpu_us(shape) <= least * _CPU_RATIO_MAX)


def cpu_us(shape: Sequence[Sustained]) -> float:
    """Microseconds of CPU for a floor, client and server."""
    return median(each.client_cpu_us + each.server_cpu_us for each in shape)


def blocked_ms(shape: Sequence[Sustained]) -> float:
    """For how long one call keeps the cache busy."""
    floors = min(shape[0].groups_max * shape[0].days_per_property, CALL_DAYS_MAX)
    return median(each.server_cpu_us for each in shape) * floors / 1_000
