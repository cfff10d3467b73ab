"""The peers: what each is, what it promises, and how it is started."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
_DOUBLES: Final = "at least once: what was committed and not yet acknowledged is added again"


@dataclass(frozen=True, slots=True)
class Peer:
    """One way of draining the topic."""

    name: str  # as figures are named after it
    title: str
    program: str  # its folder and module
    does: str
    guarantee: str  # after kill -9
    options: tuple[str, ...] = ()
    processes: int = 1
    balances: bool = True
    over_tcp: bool = False  # its driver knows no Unix sockets
    in_short_form: bool = True

    @property
    def requirements(self) -> Path:
        """The locked packages of its environment; absent where it needs none of its own."""
        return HERE / self.program / "requirements.txt"

    @property
    def tables(self) -> Path:
        """The statements that make its tables."""
        own = HERE / self.program / "tables.sql"
        return own if own.exists() else HERE / "tables.sql"


PEERS: Final = (
    Peer(
        "one_by_one_20",
        "one transaction an event, asyncpg, 20 tasks",
        "transaction",
        "each event: BEGIN, upsert of the row, addition to the day, COMMIT",
        _DOUBLES,
        ("--tasks", "20"),
        in_short_form=False,
    ),
    Peer(
        "one_by_one_500",
        "one transaction an event, asyncpg, 500 tasks",
        "transaction",
        "each event: BEGIN, upsert of the row, addition to the day, COMMIT; 50 connections",
        _DOUBLES,
        ("--tasks", "500"),
    ),
    Peer(
        "one_statement_500",
        "one transaction an event, in one statement, asyncpg, 500 tasks",
        "transaction",
        "each event: row and addition in one data-modifying statement, which commits by itself; 50 connections",
        _DOUBLES,
        ("--tasks", "500", "--way", "one_statement"),
        in_short_form=False,
    ),
    Peer(
        "executemany_1",
        "plain asyncpg executemany, positions in the transaction, 1 process",
        "executemany",
        "batches of up to 5,000: rows by executemany, days summed in Python and added by one statement",
        "correct; not fenced: nothing stops a process that was taken for dead",
        in_short_form=False,
    ),
    Peer(
        "executemany_2",
        "plain asyncpg executemany, positions in the transaction, 2 processes",
        "executemany",
        "the same, half of the partitions each",
        "correct; not fenced",
        processes=2,
    ),
    Peer(
        "copy_2",
        "plain asyncpg, rows staged by COPY, positions in the transaction, 2 processes",
        "executemany",
        "the same, with rows copied to a temporary table and upserted from there by one statement",
        "correct; not fenced",
        ("--way", "copy"),
        processes=2,
    ),
    Peer(
        "quix",
        "Quix Streams, keyed state, PostgreSQL sink",
        "quix",
        "rows and running totals of days, each through a sink that upserts; checkpoints of 20,000",
        "correct: state and offsets are one Kafka transaction, and writing the same again changes nothing",
        in_short_form=False,
    ),
    Peer(
        "faststream",
        "FastStream, batches, asyncpg",
        "faststream",
        "batches of up to 5,000: rows by executemany, days summed in Python; acknowledged after the commit",
        _DOUBLES,
    ),
    Peer(
        "debezium",
        "Debezium JDBC sink on Kafka Connect, rows only",
        "debezium",
        "rows only, no balances: upserts of 5,000 rows by one statement over arrays, 2 tasks",
        "rows correct: writing the same again changes nothing",
        balances=False,
        over_tcp=True,
        in_short_form=False,  # its compiler is still busy when a short topic is at its end
    ),
)
