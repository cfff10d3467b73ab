"""What a seed stands for: which faults strike, in which order, in pairs or alone, and how hard.

The moments are real, so a seed repeats a schedule and not a run. Each fault is drawn from the seed and its own name:
it is the same when it is run alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.chaos.catalogue import KINDS
from tests.chaos.faults.fault import Fault

PAIR: Final = "+"


@dataclass(frozen=True, slots=True)
class Strike:
    """One trial: a kind, or two joined by `+`, and the load that it strikes into."""

    seed: int
    name: str
    events_per_second: int
    before_seconds: float  # of load, until it strikes
    gap_seconds: float  # between the two of a pair

    def faults(self) -> list[Fault]:
        """The faults themselves, fresh."""
        return [KINDS[kind].draw(Random(f"{self.seed} {self.name} {kind}")) for kind in self.name.split(PAIR)]


@dataclass(frozen=True, slots=True)
class Plan:
    """The trials of one seed, in their order."""

    seed: int
    strikes: tuple[Strike, ...]


def plan_of(seed: int, kinds: Sequence[str], pairs: int) -> Plan:
    """Every kind once, and so many random pairs of those, shuffled."""
    chance = Random(f"plan {seed}")
    names = [*kinds, *_pairs(chance, [kind for kind in kinds if PAIR not in kind], pairs)]
    chance.shuffle(names)
    return Plan(seed, tuple(_strike(seed, name) for name in names))


def in_order(seed: int, names: Sequence[str]) -> Plan:
    """These, as they stand: what a failed trial says to repeat."""
    return Plan(seed, tuple(_strike(seed, name) for name in names))


def unknown(names: Sequence[str]) -> list[str]:
    """Names that are no kinds, nor pairs of kinds that can strike at once."""
    return [name for name in names if not _known(name.split(PAIR))]


def _known(parts: Sequence[str]) -> bool:
    if not all(part in KINDS for part in parts):
        return False
    return len(parts) == 1 or (len(parts) == 2 and _independent(*parts))


def _pairs(chance: Random, kinds: Sequence[str], number: int) -> list[str]:
    """Different pairs; fewer, where there are not so many."""
    possible = [
        PAIR.join((one, other)) for one in kinds for other in kinds if one != other and _independent(one, other)
    ]
    return chance.sample(possible, min(number, len(possible)))


def _independent(one: str, other: str) -> bool:
    """Whether neither undoes what the other does: they strike different things, and both find workers to strike."""
    return KINDS[one].target != KINDS[other].target


def _strike(seed: int, name: str) -> Strike:
    chance = Random(f"strike {seed} {name}")
    return Strike(
        seed,
        name,
        events_per_second=chance.choice((1_000, 2_000, 3_000)),
        before_seconds=chance.uniform(0.5, 2),
        gap_seconds=chance.uniform(0, 2),
    )
