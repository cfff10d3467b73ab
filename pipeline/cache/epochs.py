"""Which of two histories is the older: an epoch is `SYSTEM-TIMELINE` (sql/queries/cluster_epoch.sql)."""


def is_past(epoch: str, current: str) -> bool:
    """Whether `epoch` is known to lie before `current`: the same system, an earlier timeline.

    Two systems have no order: a restored backup, or a new cluster.
    """
    system, _, timeline = epoch.rpartition("-")
    current_system, _, current_timeline = current.rpartition("-")
    if system != current_system or not (timeline.isdecimal() and current_timeline.isdecimal()):
        return False
    return int(timeline) < int(current_timeline)
