"""What a client does with an update, given what it holds of the day: the same for both clients."""

from typing import Final

Held = dict[str, str | int]

_HELD: Final[Held] = {"epoch": "7-2", "version": 5}
# What is held; epoch, version and previous version of the update; what becomes of it.
CASES: Final[list[tuple[Held | None, str, int, int | None, str]]] = [
    (None, "7-2", 1, None, "take"),
    (None, "7-2", 4, 3, "resync"),  # it was told 3, and does not have it
    (_HELD, "7-2", 6, 5, "take"),
    (_HELD, "7-2", 9, 5, "take"),  # conflated
    (_HELD, "7-2", 6, None, "take"),
    (_HELD, "7-2", 5, 4, "drop"),
    (_HELD, "7-2", 4, 3, "drop"),
    (_HELD, "7-2", 8, 7, "resync"),
    (_HELD, "7-1", 9, None, "drop"),  # a former primary
    (_HELD, "7-3", 1, None, "resync"),
    (_HELD, "7-10", 1, None, "resync"),  # numbers, no texts
    (_HELD, "8-1", 9, None, "resync"),  # another system: there is no order
]
