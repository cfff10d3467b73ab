"""Epochs of the cluster, `<system identifier>-<timeline>`, and which of two histories is the later one."""

from enum import Enum
from typing import Final

UNKNOWN: Final = ""  # nothing has been heard yet


class Step(Enum):
    """What an epoch is, seen from the one that we are in."""

    FIRST = "first"
    SAME = "same"
    OLDER = "older"
    CHANGED = "changed"


def step(current: str, heard: str) -> Step:
    """A lower timeline of the same system is older: a former primary's, told late. Everything else is a change.

    Two systems cannot be compared. To take the unknown one for a change costs a snapshot; to take it for old could
    silence every update of a cluster that was restored.
    """
    if current == UNKNOWN:
        return Step.FIRST
    if heard == current:
        return Step.SAME
    (system, timeline), (heard_system, heard_timeline) = _parts(current), _parts(heard)
    return Step.OLDER if system == heard_system and heard_timeline < timeline else Step.CHANGED


def is_past(epoch: str, current: str) -> bool:
    """Whether an epoch is known to lie before the current one."""
    return step(current, epoch) is Step.OLDER


def _parts(epoch: str) -> tuple[str, int]:
    system, _, timeline = epoch.rpartition("-")
    return (system, int(timeline)) if timeline.isascii() and timeline.isdecimal() else (epoch, 0)
