"""How many retries the calls of a part can afford.

Each call pays a share of a retry, and each retry takes a whole one. So of a part that is well nearly every failure can
be tried again, and one that is down gets no more than that share on top of what it cannot do as it is. A fixed number
of attempts would multiply its load just then, and keep it down (a retry storm).

The budget begins empty and saves a bounded number: at every moment retries <= share x calls, and in any stretch of time
retries <= share x calls + saved. As in Finagle's RetryBudget, without its retries that are free.
"""

from typing import Final

# Counted in whole thousandths: ten times a tenth must be one.
_RETRY: Final = 1_000


class RetryBudget:
    """A bucket that calls fill and retries empty."""

    def __init__(self, share: float, saved_max: int) -> None:
        self._paid = round(share * _RETRY)
        self._saved_max = saved_max * _RETRY
        self._saved = 0

    def pay(self) -> None:
        """A call was made for the first time."""
        self._saved = min(self._saved + self._paid, self._saved_max)

    def take(self) -> bool:
        """Whether one more retry can be afforded; then it is paid for."""
        if self._saved < _RETRY:
            return False
        self._saved -= _RETRY
        return True
