"""What a read is for, as a header: `Folio-Read`."""

import re
from typing import Annotated, Final

from litestar.params import HeaderParameter

from pipeline.errors import ReadRefused
from pipeline.storage.intent import Intent, Read, ReadYourWrites, Write

# A mark is what a write was answered with: the history that it is in, and how far that had come.
_MARK: Final = re.compile(r"after=([0-9]{1,20}-[0-9]{1,10}):([0-9]{1,19})")
_HEADER: Final = r"^(any|primary|after=[0-9]{1,20}-[0-9]{1,10}:[0-9]{1,19})$"

ANY: Final = "any"
ReadHeader = Annotated[
    str,
    HeaderParameter(
        name="Folio-Read",
        max_length=64,
        pattern=_HEADER,
        required=False,
        description="`any` (default): a replica may answer. `primary`: the primary does. "
        "`after=<mark>`: whoever has what the write that was answered with this mark has written.",
    ),
]


def intent_of(header: str) -> Intent:
    """Raises ReadRefused for anything else than `any`, `primary` and `after=<mark>`."""
    if header == ANY:
        return Read()
    if header == "primary":
        return Write()
    found = _MARK.fullmatch(header)
    if found is None:
        raise ReadRefused("Folio-Read is `any`, `primary`, or `after=` and the mark that a write was answered with")
    return ReadYourWrites(int(found[2]), found[1])


def mark_of(intent: ReadYourWrites) -> str:
    """What `after=` takes."""
    return f"{intent.epoch}:{intent.lsn}"
