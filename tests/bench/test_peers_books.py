"""What the peers write is what the oracle expects of them: the same rows and sums of the same events."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from bench.generating import Generator
from bench.peers import catalogue, statements
from bench.peers.books import Differences
from bench.peers.events import Row, decode, figures, row, totals
from bench.peers.expected import daily_balances, transactions
from bench.workload import creations
from pipeline.oracle.books import Ground
from pipeline.oracle.decode import Judged, judge
from pipeline.oracle.fold import fold
from pipeline.oracle.records import Record, Rules

TODAY = date(2026, 11, 20)
APPENDED_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = Rules(0, timedelta(days=400), timedelta(days=1), "INR", "Asia/Kolkata", "register", 1)
WORKLOAD = replace(creations(400, today=TODAY, orgs=5), pending_share=0.3, last_week_share=0.4)


def values() -> list[bytes]:
    return [value for _key, value in Generator(WORKLOAD).events()]


def rows() -> list[Row]:
    return [row(decode(value)) for value in values()]


def test_rows_and_sums_are_those_of_the_oracle() -> None:
    events: list[Judged] = [
        judge(Record(0, number, APPENDED_AT, value), RULES) for number, value in enumerate(values())
    ]
    books = fold({0: events}, Ground({0: [RULES]}, {}, {}, frozenset(), {}, frozenset()))
    assert not books.dead_letters
    assert sorted(rows()) == sorted(transactions(books))
    assert len({each[6] for each in rows()}) > 1, "days before today, too"
    assert totals(rows()) == sorted(daily_balances(books))


def test_a_batch_adds_what_its_events_add_one_by_one() -> None:
    summed = [sum(column) for column in zip(*map(figures, rows()), strict=True)]
    assert [sum(column) for column in zip(*(total[3:] for total in totals(rows())), strict=True)] == summed
    assert all(summed), "each of the four figures moves"


def test_totals_come_in_key_order_and_without_days_to_which_nothing_is_added() -> None:
    pending = [(*each[:9], "pending", *each[10:]) for each in rows()]
    assert totals(pending) == []
    keys = [total[:3] for total in totals(rows())]
    assert keys == sorted(set(keys))


def test_statements_name_the_columns_in_the_order_of_the_table() -> None:
    # Rows are copied without naming columns, so all three must agree.
    made = columns((catalogue.HERE / "tables.sql").read_text(), "transactions")
    for name in ("put_row", "put_staged"):
        (named,) = re.findall(r"INSERT INTO transactions \(([^)]*)\)", statements.statement(name))
        assert [each.strip() for each in named.split(",")] == made
    assert len(made) == len(rows()[0])


def test_the_statement_for_both_says_what_the_two_say() -> None:
    both = words("put_row_and_add_to_day")
    assert words("put_row") in both
    # Organisation, property and day are the row's; the figures come after it.
    assert words("add_to_day").replace("$1, $2, $3, $4, $5, $6, $7", "$1, $5, $7, $17, $18, $19, $20") in both


def words(name: str) -> str:
    lines = statements.statement(name).splitlines()
    return " ".join(" ".join(line for line in lines if not line.startswith("--")).split())


def columns(statement: str, table: str) -> list[str]:
    (body,) = re.findall(rf"CREATE TABLE {table} \((.*?)\n\)", statement, re.DOTALL)
    return [line.split()[0] for line in body.strip().splitlines() if not line.strip().startswith("PRIMARY")]


def test_differences_are_said() -> None:
    assert str(Differences(0, 0)) == str(Differences(0, None)) == "right"
    assert str(Differences(0, 1_234)) == "0 rows and 1,234 days differ"
    assert str(Differences(2, None)) == "2 rows differ"
    assert not Differences(0, 1).none


def test_peers_of_one_name_do_not_hide_each_other() -> None:
    names = [peer.name for peer in catalogue.PEERS]
    assert len(set(names)) == len(names)
    for peer in catalogue.PEERS:
        assert (catalogue.HERE / peer.program / "__main__.py").exists()
        assert peer.tables.exists()


def test_locks_pin_every_package_by_hash_and_say_nothing_of_where_from() -> None:
    locks = {peer.requirements for peer in catalogue.PEERS if peer.requirements.exists()}
    assert len(locks) == 4
    for lock in locks:
        text = lock.read_text()
        assert "://" not in text
        for package in text.replace("\\\n", "").splitlines():
            assert re.fullmatch(r"\S+==\S+( ; [^-]+)?\s+(--hash=sha256:\w{64}\s*)+", package), package
    for name in ("worker", "sink"):
        jars = Path(catalogue.HERE / "debezium" / f"{name}_jars.txt").read_text().splitlines()[1:]
        assert all(re.fullmatch(r"[\w.-]+:[\w.-]+:[\w.-]+ [0-9a-f]{64}", jar) for jar in jars)
        assert len(jars) > 20
