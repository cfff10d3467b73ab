"""The order in which processes take the tests."""

from collections.abc import Sequence

import pytest


def long_ones_early(items: Sequence[pytest.Item], processes: int) -> list[pytest.Item]:
    """Tests marked `long` at the beginning of what each process is given first, the others in the order that they have.

    Each is given an equal run of the list, and takes from the others' ends when it is through: a long test at an end
    would keep one core busy while the other waits.
    """
    marked = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    bounds = [len(others) * number // processes for number in range(processes + 1)]
    ordered: list[pytest.Item] = []
    for number in range(processes):
        ordered += marked[number::processes] + others[bounds[number] : bounds[number + 1]]
    return ordered
