"""What is going on, as lines on standard error: results go to standard output and to files."""

import sys
import time
from typing import Final

_COUNT_SECONDS: Final = 5.0


class Progress:
    """Says what is done, with the seconds since the beginning."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._counted_at = 0.0

    def say(self, text: str) -> None:
        """A line."""
        print(f"[{time.monotonic() - self._began:7.1f} s] {text}", file=sys.stderr, flush=True)

    def count(self, what: str, done: int, total: int) -> None:
        """A line now and then about something that is counted."""
        now = time.monotonic()
        if now - self._counted_at >= _COUNT_SECONDS:
            self._counted_at = now
            self.say(f"  {what}: {done:,} of {total:,}")
