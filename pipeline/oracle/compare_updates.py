"""Two sides, differences, for what subscribers are told: realtime updates against balances."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from pipeline.oracle.commits import Commits
from pipeline.oracle.compare_days import BalanceRow
from pipeline.oracle.daily import Figures
from pipeline.oracle.expiry import Expiry
from pipeline.oracle.findings import Findings
from pipeline.oracle.movements import DayKey
from pipeline.oracle.updates import Update

REALTIME: Final = "realtime"


class RealtimeComparison:
    """Holds updates against rows: every version of every row was told, once, in the order of time; the newest rightly.

    Two things may be wrong with a row's versions that its rebuild has made good, because it comes back above all of
    them: those before a rebuild's own may be untold, or told again after a higher one. That holds for rows of which a
    rebuild has told, and for what was told before that.

    Updates beyond a row's version were made after the snapshot and are left out, unless the snapshot must have them;
    repeated and reordered ones are fine. Of an org whose first updates may have expired, the versions that are there
    must be without gaps, and the newest one must be there unless it may have expired as well: `not_compared` counts
    those rows.
    """

    def __init__(self, rows: Mapping[DayKey, BalanceRow], expiry: Expiry, commits: Commits) -> None:
        self.not_compared = 0
        self._rows = rows
        self._expiry = expiry
        self._commits = commits
        self._told: defaultdict[DayKey, dict[str, _Told]] = defaultdict(dict)
        self._newest: dict[DayKey, Update] = {}
        self._rebuilt: defaultdict[DayKey, dict[int, datetime]] = defaultdict(dict)
        self._rebuild_steps: set[datetime] = set()
        self._beyond: dict[DayKey, int] = {}

    def feed(self, findings: Findings, updates: Iterable[Update]) -> None:
        """Take in updates of the topic in its order, or of the outbox."""
        for update in updates:
            key = update.key
            row = self._rows.get(key)
            if update.rebuilt and self._commits.include(update):
                self._rebuild_steps.add(update.changed_at)
            if row is None:
                continue
            if update.version > row.version:
                if self._commits.include(update):
                    self._beyond[key] = max(update.version, self._beyond.get(key, 0))
                continue
            self._hear(update)
            self._expiry.hear(update)
            if update.version == row.version:
                self._take_newest(findings, update)

    def _hear(self, update: Update) -> None:
        told = self._told[update.key].setdefault(update.epoch, _Told([], []))
        told.versions.append(update.version)
        told.instants.append(update.changed_at)
        if update.rebuilt:
            self._rebuilt[update.key][update.version] = update.changed_at

    def _take_newest(self, findings: Findings, update: Update) -> None:
        before = self._newest.get(update.key)
        if before is not None and before.epoch == update.epoch and before.figures != update.figures:
            self._differ(findings, update.key, update.version, before.figures, update.figures)
        # A failover may lose the log's end and use versions again, on a later timeline: that one counts, though a
        # worker of the former primary may tell of the same version after it.
        if before is None or _timeline(update.epoch) >= _timeline(before.epoch):
            self._newest[update.key] = update

    def finish(self, findings: Findings) -> None:
        """Every row: no version untold, none told again, and the newest as the row is."""
        if len(self._rebuild_steps) > self._commits.rebuild_steps:
            said, counted = len(self._rebuild_steps), self._commits.rebuild_steps
            findings.differ(REALTIME, {}, {"steps_of_rebuilds": counted}, {"steps_of_rebuilds": said})
        for key, row in self._rows.items():
            self._judge_order(findings, key, row)
            told = self._told.get(key, {})
            if not told and not self._expiry.must_hold(key[0], row.updated_at):
                self.not_compared += 1
                continue
            findings.compared[REALTIME] += 1
            versions = {epoch: each.versions for epoch, each in told.items()}
            first = self._first_held(key[0], versions, row.version)
            missing = _untold(versions, first, row.version, self._rebuilt.get(key, {}))
            if missing:
                findings.differ(REALTIME, _named(key), {"versions_told": f"up to {row.version}"}, {"untold": missing})
            newest = self._newest.get(key)
            if newest is not None and newest.figures != row.figures:
                self._differ(findings, key, row.version, row.figures, newest.figures)

    def _judge_order(self, findings: Findings, key: DayKey, row: BalanceRow) -> None:
        """A row that was lowered, or lost and made anew, has versions that subscribers have passed."""
        beyond = self._beyond.get(key)
        if beyond is not None:
            findings.differ(REALTIME, _named(key), {"version": f"{beyond}, as it was told"}, {"version": row.version})
        for told in self._told.get(key, {}).values():
            lowered = told.lowered()
            if lowered is not None and not lowered.is_made_good(self._rebuilt.get(key, {})):
                expected, actual = {"version": f"above {lowered.highest}"}, {"version": lowered.version}
                findings.differ(REALTIME, _named(key) | {"changed_at": lowered.changed_at}, expected, actual)

    def _first_held(self, org_id: int, epochs: Mapping[str, Sequence[int]], newest: int) -> int:
        """The version from which on every one must be there."""
        if not self._expiry.may_have_expired(org_id):
            return 1
        return min((min(versions) for versions in epochs.values()), default=newest)

    def _differ(self, findings: Findings, key: DayKey, version: int, expected: Figures, actual: Figures) -> None:
        findings.differ_in_fields(REALTIME, _named(key) | {"version": version}, Figures._fields, expected, actual)


class _Told(NamedTuple):
    """The versions of a row that were told within an epoch, as they came, and when each was made."""

    versions: list[int]
    instants: list[datetime]

    def lowered(self) -> "_Lowered | None":
        """The last version that was made after a higher one, or a second time.

        Commits of a row have instants that rise with its version, whichever order their updates come in; an update
        that comes again is the same.
        """
        found, highest = None, 0
        for changed_at, version in sorted(set(zip(self.instants, self.versions, strict=True))):
            if version <= highest:
                found = _Lowered(version, changed_at, highest)
            highest = max(highest, version)
        return found


class _Lowered(NamedTuple):
    """A version, when it was made, and the highest one that was made before it."""

    version: int
    changed_at: datetime
    highest: int

    def is_made_good(self, rebuilt: Mapping[int, datetime]) -> bool:
        """Whether a rebuild of the row lies behind and above it."""
        return any(at > self.changed_at and version > self.highest for version, at in rebuilt.items())


_UNTOLD_SHOWN: Final = 10


def _timeline(epoch: str) -> int:
    """The second part of (system identifier, timeline). Epochs that are no such thing are all alike."""
    timeline = epoch.rpartition("-")[2]
    return int(timeline) if timeline.isdecimal() else 0


def _untold(epochs: Mapping[str, Sequence[int]], first: int, newest: int, rebuilt: Collection[int]) -> str:
    """The versions from `first` to `newest` that no update told, and gaps within an epoch; empty when none.

    `rebuilt` has those with which a rebuild of this row has skipped the ones before them.
    """
    told = set[int]().union(*epochs.values())
    untold = _absent(told, first, newest, rebuilt)
    for versions in epochs.values():
        untold += _absent(set(versions), min(versions), max(versions), rebuilt)
    untold = sorted(set(untold))
    more = ", …" if len(untold) > _UNTOLD_SHOWN else ""
    return ", ".join(map(str, untold[:_UNTOLD_SHOWN])) + more


def _absent(told: set[int], first: int, last: int, rebuilt: Collection[int]) -> list[int]:
    if len(told) == last - first + 1:  # all within the two, so all there
        return []
    if not rebuilt:
        return [version for version in range(first, last + 1) if version not in told]
    absent: list[int] = []
    expected = first
    for version in sorted(version for version in told if version >= first):
        if version not in rebuilt:
            absent += range(expected, version)
        expected = version + 1
    return [*absent, *range(expected, last + 1)]


def _named(key: DayKey) -> dict[str, object]:
    return dict(zip(("org_id", "property_id", "balance_date"), key, strict=True))
