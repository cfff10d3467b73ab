"""Long tests begin early, wherever they stand."""

import pytest

from tests.support.order import long_ones_early


@pytest.mark.parametrize("processes", [1, 2, 4, 8])
@pytest.mark.parametrize("short_ones", [96, 97, 101, 103])
def test_each_process_is_first_given_its_part_of_the_long_ones(
    request: pytest.FixtureRequest, processes: int, short_ones: int
) -> None:
    def item(name: str, *, long: bool) -> pytest.Item:
        made = pytest.Function.from_parent(request.node.parent, name=name, callobj=lambda: None)
        if long:
            made.add_marker("long")
        return made

    short = [item(f"short_{number}", long=False) for number in range(short_ones)]
    long = [item(f"long_{number}", long=True) for number in range(10)]
    ordered = long_ones_early([*short, *long], processes)
    assert [each for each in ordered if each in short] == short
    assert len(ordered) == len(short) + len(long)
    for number in range(processes):
        # As xdist's worksteal deals them: an equal part of what is left.
        size = len(ordered) // (processes - number)
        given, ordered = ordered[:size], ordered[size:]
        mine = [each for each in given if each in long]
        assert mine == long[number::processes]
        assert all(place < len(mine) + processes for place, each in enumerate(given) if each in mine)
