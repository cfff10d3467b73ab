"""Claims of lanes that no database gave."""

from schemas.lanes import Claim, Standing
from schemas.topics import Feed

NOTHING_YET = Standing()
PRIMARY = "7000000000000000000-1"


def claim(events: Standing = NOTHING_YET, *, lane: int = 0, epoch: int = 1) -> Claim:
    """A lane with nothing in its outbox, of which only finance events may have been consumed."""
    standings = {Feed.EVENTS: events, Feed.CORRECTIONS: NOTHING_YET}
    return Claim(lane, epoch, PRIMARY, standings, outbox_seq=0, published_seq=0, invalidated_seq=0)
