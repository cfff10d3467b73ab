"""The table of the peers says of each what became of it, also where nothing did."""

from pathlib import Path

from bench.draining import Round
from bench.form import Form
from bench.peers.books import Differences
from bench.peers.catalogue import PEERS
from bench.peers.rounds import KILLS, PeerRound, kill_at
from bench.scenarios import peers
from bench.scenarios.peers import _Candidate

OURS = Round(events=1_000, claimed=100.0, ended=101.0, cpu={"workers": 1.0, "database": 0.5})
RIGHT, DOUBLED = Differences(0, 0), Differences(0, 3)


def candidate(number: int, *rates: float, differences: Differences = RIGHT) -> _Candidate:
    rounds = [PeerRound(1_000, 1_000 / rate, {"workers": 0.01}, 50.0, differences) for rate in rates]
    return _Candidate(PEERS[number], Path("python"), rounds=rounds)


def missing(reason: str) -> _Candidate:
    return _Candidate(PEERS[3], missing=reason)


def test_a_missing_peer_has_a_row_and_a_remark_with_its_reason() -> None:
    table = peers._measured([OURS], [candidate(0, 10), missing("no such jar")], Form())
    assert {len(row) for row in table.rows} == {len(table.columns)}
    assert "missing: no such jar" in table.rows[-1]
    assert {len(row) for row in peers._told([missing("")]).rows} == {len(peers._told([]).columns)}
    assert f"Missing: {PEERS[3].title}: no such jar" in list(peers._remarks([OURS], [missing("no such jar")]))


def test_wrong_books_are_said_wherever_they_were_found() -> None:
    wrong = candidate(0, 10, differences=DOUBLED)
    assert wrong.differences == DOUBLED
    assert "0 rows and 3 days differ" in peers._measured([OURS], [wrong], Form()).rows[-1]
    killed = candidate(1, 10)
    killed.after_kills = DOUBLED
    remarks = list(peers._remarks([OURS], [wrong, killed]))
    assert [remark.startswith("Wrong: ") for remark in remarks] == [True, True]
    assert "after kill -9" in remarks[1]


def test_a_peer_that_does_not_come_back_after_a_kill_is_no_untried_one() -> None:
    gone = candidate(0, 10)
    gone.kills_failed = "failed: no new row"
    assert "failed: no new row" in peers._measured([OURS], [gone], Form()).rows[-1]
    assert "Wrong" in next(peers._remarks([OURS], [gone]))
    assert "not tried" in peers._measured([OURS], [candidate(0, 10)], Form()).rows[-1]


def test_one_wrong_round_among_right_ones_counts() -> None:
    mixed = candidate(0, 10, 20)
    mixed.rounds.append(PeerRound(1_000, 1.0, {}, 1.0, DOUBLED))
    assert mixed.differences == DOUBLED


def test_the_fastest_is_the_one_with_the_best_median() -> None:
    found = {each.name: each for each in peers._figures([OURS], [candidate(0, 10, 90, 11), candidate(1, 12, 13, 14)])}
    assert found["fastest_peer_events_per_second"].median == found["one_by_one_500_events_per_second"].median
    assert found["product_events_per_second"].median == 1_000


def test_without_any_peer_nothing_is_the_fastest() -> None:
    assert "fastest_peer_events_per_second" not in {each.name for each in peers._figures([OURS], [missing("")])}


def test_kills_are_spread_over_the_middle_and_miss_the_ends_of_batches() -> None:
    at = [kill_at(number, 100_000) for number in range(1, KILLS + 1)]
    assert at == sorted(at)
    assert at[0] > 20_000
    assert at[-1] < 90_000
    assert all(rows % 1_000 for rows in at)
