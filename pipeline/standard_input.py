"""A file that a command reads; `-` is standard input."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

STANDARD_INPUT: Final = Path("-")


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The file, or standard input, which stays open. Raises OSError."""
    if path == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file
