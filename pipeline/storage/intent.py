"""What a read is for, declared by who reads: from it follows which server may answer."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Read:
    """Any server whose lag is within bounds."""


@dataclass(frozen=True, slots=True)
class ReadYourWrites:
    """A server that has at least what was written up to `lsn`: a WAL position in bytes (`pg_lsn - '0/0'`).

    `epoch` is the history that it was written in, (system identifier, timeline). A position alone says little once a
    primary was lost: a replica that still follows the lost one may be further on, and lack what the new one wrote.
    `pipeline.storage.replicas.position.written` gives both.
    """

    lsn: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Write:
    """The primary: what is read decides about a write."""


Intent = Read | ReadYourWrites | Write
