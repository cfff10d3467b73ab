"""Long tests begin early, wherever they stand."""

import pytest

from tests.support.order import long_ones_early


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_each_process_begins_with_some_of_the_long_ones_and_none_is_lost(
    request: pytest.FixtureRequest, processes: int
) -> None:
    def item(name: str, *, long: bool) -> pytest.Item:
        made = pytest.Function.from_parent(request.node.parent, name=name, callobj=lambda: None)
        if long:
            made.add_marker("long")
        return made

    short = [item(f"short_{number}", long=False) for number in range(101)]
    long = [item(f"long_{number}", long=True) for number in range(6)]
    ordered = long_ones_early([*short, *long], processes)
    assert [each for each in ordered if each in short] == short
    assert sorted(each.name for each in ordered) == sorted(each.name for each in [*short, *long])
    share = len(ordered) // processes
    for number in range(processes):
        first = ordered[number * share : number * share + 2 * processes + 6]
        assert sum(each in long for each in first) >= len(long) // processes
