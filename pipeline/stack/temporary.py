"""A stack for tests: it lives as long as its owner, however that ends."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from pipeline.stack.config import Endpoints, PartName, StackConfig
from pipeline.stack.record import read
from pipeline.stack.stack import down, up

REAPER_SECONDS_MAX = 90.0


@contextmanager
def temporary_stack(directory: Path, external: Mapping[PartName, str] | None = None) -> Iterator[Endpoints]:
    """Start a stack in an empty folder, and purge it in the end, even when this process is killed by SIGKILL.

    Servers named in the settings are not used; those named in `external` are, and are left running.
    """
    # The usual ports are left to a developer's own stack.
    config = StackConfig(directory, external or {}, preferred_ports={})
    with reaped(config):
        yield up(config)


@contextmanager
def reaped(config: StackConfig) -> Iterator[None]:
    """Purge whatever is started in the stack's folder, however this process ends.

    A reaper holds the reading end of a pipe whose writing end only we have: the kernel closes ours when we
    die, and the reaper then clears up.
    """
    # Made before the servers: no moment exists in which they run and nobody watches us.
    reaper = subprocess.Popen(
        (sys.executable, "-m", "pipeline.stack.reaper", str(config.directory)),
        stdin=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C in a terminal is for us, not for it
    )
    try:
        yield
    finally:
        try:
            clear(config)
        finally:
            reaper.communicate(timeout=REAPER_SECONDS_MAX)


def clear(config: StackConfig) -> None:
    """Stop and remove the stack, if it came to be one: `up` may have failed, or the owner was faster."""
    if read(config.directory) is not None:
        down(config, purge_data=True)
