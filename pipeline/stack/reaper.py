"""`python -m pipeline.stack.reaper DIR`: wait until standard input ends, then purge the stack in DIR.

Whoever starts it keeps the other end of the pipe open for as long as it wants the stack.
"""

import sys
from pathlib import Path

from pipeline.errors import StackFailed
from pipeline.stack.config import StackConfig
from pipeline.stack.temporary import clear


def main(arguments: list[str]) -> int:
    """Block on standard input, then clear up; a folder that is gone was cleared by its owner."""
    (directory,) = arguments
    while sys.stdin.buffer.read(65_536):
        pass
    try:
        clear(StackConfig(Path(directory)))
    except StackFailed as exc:
        print(f"folio stack: {exc}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
