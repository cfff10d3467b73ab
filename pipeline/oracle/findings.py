"""Where the database is not what the topic says: counted by kind, the first of each kind kept to be shown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

# A lost table differs in every row; the first thousand show what is wrong as well as a million would.
KEPT_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Difference:
    """A key under which two sides disagree: the fields that differ, or None where there is no row."""

    kind: str
    key: Mapping[str, object]
    expected: Mapping[str, object] | None
    actual: Mapping[str, object] | None


@dataclass(slots=True)
class Findings:
    """What was compared so far, and what differed."""

    compared: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    kept: list[Difference] = field(default_factory=list)

    def compare(
        self,
        kind: str,
        key: Mapping[str, object],
        expected: Mapping[str, object],
        actual: Mapping[str, object],
    ) -> None:
        """Count a comparison of two sides with the same fields, and keep where they differ."""
        self.compared[kind] += 1
        if expected != actual:
            differing = [name for name in expected if expected[name] != actual[name]]
            self.differ(
                kind,
                key,
                {name: expected[name] for name in differing},
                {name: actual[name] for name in differing},
            )

    def differ(
        self,
        kind: str,
        key: Mapping[str, object],
        expected: Mapping[str, object] | None,
        actual: Mapping[str, object] | None,
    ) -> None:
        """Count a difference; keep it while there is room."""
        self.counts[kind] += 1
        if self.counts[kind] <= KEPT_MAX:
            self.kept.append(Difference(kind, key, expected, actual))

    def differ_in_fields(
        self,
        kind: str,
        key: Mapping[str, object],
        names: Sequence[str],
        expected: Sequence[Any] | None,
        actual: Sequence[Any] | None,
    ) -> None:
        """The same for two rows of the fields `names`; None where there is no row."""
        if expected is None or actual is None:
            self.differ(kind, key, _named(names, expected), _named(names, actual))
            return
        differing = [index for index in range(len(names)) if expected[index] != actual[index]]
        self.differ(
            kind,
            key,
            {names[index]: expected[index] for index in differing},
            {names[index]: actual[index] for index in differing},
        )


def _named(names: Sequence[str], values: Sequence[Any] | None) -> Mapping[str, object] | None:
    return None if values is None else dict(zip(names, values, strict=True))
