"""What a partition told last, in bounded memory: who was away for a moment goes on without Kafka."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from pipeline.realtime.messages import Entry, ResyncReason

# What an entry takes besides its bytes: measured, a decoded update with its dates and numbers.
ENTRY_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class RingBounds:
    """Of one partition."""

    entries_max: int
    bytes_max: int


class Ring:
    """The last entries of one partition in the order of their offsets, without a hole from its floor to `position`."""

    def __init__(self, position: int, bounds: RingBounds) -> None:
        self._bounds = bounds
        self._entries: deque[Entry] = deque()
        self._floor = position
        self._position = position
        self.size_bytes = 0

    @property
    def position(self) -> int:
        """The offset that is read next."""
        return self._position

    def append(self, entry: Entry) -> None:
        assert entry.offset >= self._position
        self._entries.append(entry)
        self._position = entry.offset + 1
        self.size_bytes += len(entry.line) + ENTRY_BYTES
        while len(self._entries) > self._bounds.entries_max or self.size_bytes > self._bounds.bytes_max:
            oldest = self._entries.popleft()
            self._floor = oldest.offset + 1
            self.size_bytes -= len(oldest.line) + ENTRY_BYTES

    def pass_over(self, position: int) -> None:
        """Nothing that could be told lies before `position`: marks of transactions, or what was no update."""
        self._position = max(self._position, position)

    def judge(self, offset: int) -> ResyncReason | None:
        """Why nobody can go on from `offset` here; None: everything from there on is here."""
        if offset > self._position:
            return ResyncReason.CURSOR_AHEAD
        return ResyncReason.CURSOR_TOO_OLD if offset < self._floor else None

    def entries(self) -> Iterator[Entry]:
        """All of them, oldest first."""
        return iter(self._entries)

    def since(self, offset: int) -> Iterator[Entry]:
        """The entries from `offset` on, oldest first."""
        assert self.judge(offset) is None
        # From the newest end: those who come back were away for a moment only.
        count = 0
        for entry in reversed(self._entries):
            if entry.offset < offset:
                break
            count += 1
        return islice(self._entries, len(self._entries) - count, None)
