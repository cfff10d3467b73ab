"""What spreading the hashed tables over more partitions would take. It is a plan to look at, never carried out here.

Only by doubling: a row of remainder r of 16 has remainder r or r + 16 of 32, so each partition splits by itself, and
the table works at every moment with some split and some not. With any other number most rows would change places at
once.
"""

from dataclasses import dataclass

from pipeline.errors import SettingsRefused
from pipeline.maintenance.partitions.state import HASHED, Partition, State

# Each partition has files, locks and plans of its own; PostgreSQL plans over a thousand of them noticeably slower.
MODULUS_MAX = 1_024


@dataclass(frozen=True, slots=True)
class Split:
    """One partition, and the remainders of the new modulus that it falls into."""

    table: str
    name: str
    rows: int
    bytes: int
    modulus: int
    remainder: int
    into: tuple[int, ...]

    def words(self, target: int) -> str:
        remainders = ", ".join(str(each) for each in self.into)
        return (
            f"split {self.name} (remainder {self.remainder} of {self.modulus}; about {self.rows:,} rows, "
            f"{self.bytes:,} bytes) into remainders {remainders} of {target}"
        )


def plan_modulus(state: State, target: int) -> list[Split]:
    """The partitions to split, one after the other, the smallest first: what goes wrong goes wrong early and small.

    Raises SettingsRefused for a number that cannot be reached by doubling.
    """
    splits = [_split(each, target) for table in HASHED for each in state.of(table) if each.modulus != target]
    return sorted(splits, key=lambda split: (split.table, split.bytes, split.remainder))


def _split(partition: Partition, target: int) -> Split:
    modulus, remainder = partition.modulus, partition.remainder
    assert modulus is not None, "the tables are partitioned by hash"
    assert remainder is not None, "a hash partition has a remainder"
    times, rest = divmod(target, modulus)
    if rest or times < 1 or times & (times - 1) or target > MODULUS_MAX:
        raise SettingsRefused(
            f"--modulus {target}: {modulus} doubled once or more is accepted, up to {MODULUS_MAX}; with any other "
            "number rows of every partition would have to change places at once"
        )
    into = tuple(remainder + modulus * step for step in range(times))
    return Split(partition.table, partition.name, partition.rows, partition.bytes, modulus, remainder, into)


def needs(splits: list[Split]) -> list[str]:
    """What carrying it out takes, in words."""
    if not splits:
        return ["nothing: the tables have that many partitions"]
    largest = max(splits, key=lambda split: split.bytes)
    room = f"{largest.bytes:,} bytes of free disk, and as much WAL: for {largest.name}, the largest, beside its parts"
    return [
        room,
        "for each split the lock of its table while one partition is copied: stop the workers, or they wait",
        "the same order in every environment: a standby and a restored backup have whatever the primary had",
    ]
