"""Every query file says its name and its purpose, and something uses it."""

import re
from pathlib import Path

import pytest

import sql

QUERIES = sorted((Path(sql.__file__).parent / "queries").glob("*.sql"))
CODE = ("batchers", "consumers", "pipeline")


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_a_query_begins_with_its_name_and_a_sentence(path: Path) -> None:
    first, *rest = path.read_text(encoding="utf-8").splitlines()
    comment = [line[3:] for line in rest[: _comment_lines(rest)]]
    said = re.fullmatch(rf"-- {path.stem}: (\S.*)", first)
    assert said, f"{path.name} must begin with `-- {path.stem}: what it is for`"
    assert " ".join([said[1], *comment]).endswith(".")


def _comment_lines(lines: list[str]) -> int:
    return next(place for place, line in enumerate(lines) if not line.startswith("--"))


@pytest.mark.parametrize("path", QUERIES, ids=lambda path: path.stem)
def test_no_query_is_interpolated_or_ends_in_a_second_statement(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "%s" not in text
    assert "{" not in text
    if path.stem != "create_staging":
        assert ";" not in "\n".join(line for line in text.splitlines() if not line.startswith("--"))


def test_every_query_is_used_by_the_code_and_every_used_one_exists() -> None:
    used: set[str] = set()
    for folder in CODE:
        for source in (Path(sql.__file__).parents[1] / folder).rglob("*.py"):
            used |= set(re.findall(r"sql\.query\(\"(\w+)\"\)", source.read_text(encoding="utf-8")))
    assert {path.stem for path in QUERIES} - used == set()
    assert used - {path.stem for path in QUERIES} == set()


def test_an_unknown_query_is_a_mistake_of_ours() -> None:
    with pytest.raises(FileNotFoundError):
        sql.query("no_such_query")


def test_no_sql_is_written_in_the_code_of_the_hot_path() -> None:
    """SQL lives in files; the few control statements of a transaction are its grammar, not queries."""
    statement = re.compile(r"\"(?:SELECT|INSERT|UPDATE|DELETE|WITH) ")
    found = {
        source.name
        for folder in ("batchers", "consumers")
        for source in (Path(sql.__file__).parents[1] / folder).rglob("*.py")
        if statement.search(source.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize("name", ["upsert_{}", "delete_moved_{}", "{}_of_day"])
def test_revenues_and_expenses_are_treated_alike(name: str) -> None:
    """The pairs differ in the table's name only: who changes one must change the other."""
    revenues, expenses = sql.query(name.format("revenues")), sql.query(name.format("expenses"))
    assert revenues != expenses
    assert revenues.replace("revenue", "expense").replace(" of a expense", " of an expense") == expenses


def test_the_pair_by_id_is_treated_alike() -> None:
    revenue, expense = sql.query("revenue_by_id"), sql.query("expense_by_id")
    assert revenue.replace("revenue", "expense").replace(" of a expense", " of an expense") == expense


# Who may read, or write, transactions, balances, snapshots and the store: the fenced transaction, the repositories, and
# what maintains the tables. Everybody else asks a repository.
BOOKS = re.compile(
    r"finance\.(revenues|expenses|daily_cash_balances)_partitioned|event_store\.(events|snapshots)|read_models\.\w+"
)
KEEPERS = ("batchers", "pipeline/storage", "pipeline/maintenance", "pipeline/consistency", "pipeline/rebuild")
# Loading properties asks whether a day is booked; whether a correction would hit a booked one is asked as well.
EXCEPTIONS = {"standing_properties": "pipeline/properties", "latest_booked": "pipeline/properties"}


def test_only_the_keepers_of_the_books_ask_for_them() -> None:
    keeping = {path.stem for path in QUERIES if BOOKS.search(path.read_text(encoding="utf-8"))}
    root = Path(sql.__file__).parents[1]
    strangers = [
        (name, str(source.relative_to(root)))
        for folder in CODE
        for source in (root / folder).rglob("*.py")
        for name in re.findall(r"sql\.query\(\"(\w+)\"\)", source.read_text(encoding="utf-8"))
        if name in keeping
        and not str(source.relative_to(root)).startswith((*KEEPERS, EXCEPTIONS.get(name, *KEEPERS[:1])))
    ]
    assert len(keeping) > 20
    assert strangers == []
