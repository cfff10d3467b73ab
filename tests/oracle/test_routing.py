"""Where an organisation is at home."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.oracle.routing import home_lane
from schemas import routing


def test_it_is_what_kafkas_own_client_computes() -> None:
    # murmur2 of "21" in Kafka's UtilsTest: -973932308; the sign bit dropped.
    assert [home_lane(21, lanes) for lanes in (1, 8, 1000)] == [0, 1_173_551_340 % 8, 340]


@given(st.integers(1, 2**63 - 1), st.integers(1, 1024))
def test_it_is_where_the_pipeline_thinks(org_id: int, lanes: int) -> None:
    assert home_lane(org_id, lanes) == routing.home_lane(org_id, lanes)
