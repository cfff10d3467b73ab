"""The command line that every peer's program has, and how it tells when it began."""

import argparse
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FIRST_FETCH: Final = "first fetch at"  # ms since 1970, on a line of standard output
SESSION_TIMEOUT_SECONDS: Final = 6  # the least a broker allows by default: a killed peer's group is soon free again

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


@dataclass(frozen=True, slots=True)
class Arguments:
    """Where to read from, where to write to, and how."""

    bootstrap: str
    topic: str
    database_url: str
    schema: str  # of the tables, made by the harness before the start
    group: str
    state_dir: Path  # for what the tool keeps on disk
    tasks: int
    process: int
    processes: int
    way: str  # in which rows reach the database


def arguments() -> Arguments:
    """What the harness asks for."""
    parser = argparse.ArgumentParser(description="Drain a topic of finance events into two tables, until stopped.")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--schema", required=True)
    parser.add_argument("--group", required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=1, help="transactions at once")
    parser.add_argument("--process", type=int, default=0, help="which of the processes this one is")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--way", choices=("executemany", "copy", "one_statement"), default="executemany")
    die_with_parent()
    # Not on the command line: it may hold a password.
    return Arguments(database_url=os.environ["PEER_DATABASE_URL"], **vars(parser.parse_args()))


def die_with_parent() -> None:
    """Let the kernel kill this process, and what it becomes by exec, when the harness ends, however that comes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def tell_first_fetch() -> None:
    """Say that the first records have come: from here on the harness counts."""
    print(FIRST_FETCH, time.time_ns() // 1_000_000, flush=True)
