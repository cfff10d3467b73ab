"""folio bench: measurements, from a checkout only. The wheel ships no benchmark."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final, NoReturn

from cyclopts import Parameter

from pipeline.errors import SettingsRefused

_CHECKOUT: Final = Path(__file__).resolve().parents[2]
# Locked in requirements/bench.txt, and needed by nothing else.
_PACKAGES: Final = ("confluent_kafka", "hdrh")


def bench(*arguments: Annotated[str, Parameter(allow_leading_hyphen=True)]) -> NoReturn:
    """Measure the pipeline on a stack of its own, or with --external on the servers that the settings name.

    Parameters
    ----------
    arguments
        Scenarios and options; `folio bench -- --help` lists them, docs/benchmark.md explains them.
    """
    # Beside an installed package may stand anybody's `bench`.
    if not (_CHECKOUT / "bench" / "scenarios" / "drain.py").is_file():
        raise SettingsRefused(
            "the benchmark is not installed with folio: clone the repository, and run `make bench` there"
        )
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingsRefused(
            f"{', '.join(missing)}: not installed; `make bench` installs all that the benchmark needs"
        )
    paths = [str(_CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    # In place of this process, not beside it: whoever stops the command stops the benchmark, and it clears up.
    os.execve(sys.executable, [sys.executable, "-m", "bench", *arguments], environment)
