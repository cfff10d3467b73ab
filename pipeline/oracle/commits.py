"""Which commits the snapshot of the database has in it, as far as an update tells when it was made.

Every writer stamps the home lane of each organisation that it writes for, under that lane's lock, with an instant later
than any before (`ops.lanes.last_recorded_at`); what a commit changes carries an instant up to that. So an update of the
database's present epoch that is not later than its home lane in the snapshot is one of a commit that the snapshot has.
Of an earlier epoch nothing follows: a failover may have lost the commit, and the lane has gone on since.
"""

from collections.abc import Mapping
from datetime import datetime

from pipeline.oracle.routing import home_lane
from pipeline.oracle.updates import Update


class Commits:
    """What was committed before the snapshot.

    `recorded_until` has every lane. `epoch` is None where nobody can tell.
    """

    def __init__(self, epoch: str | None, recorded_until: Mapping[int, datetime], rebuild_steps: int) -> None:
        self.rebuild_steps = rebuild_steps  # that have written balances, ever
        self._epoch = epoch
        self._recorded_until = recorded_until

    def include(self, update: Update) -> bool:
        """Whether the update is surely of a commit that the snapshot has."""
        if update.epoch != self._epoch:
            return False
        return update.changed_at <= self._recorded_until[home_lane(update.key[0], len(self._recorded_until))]
