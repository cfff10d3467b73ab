"""Expired months as files that anybody can read: gzip, a line of JSON that says what follows, then CSV with its names.

`zcat FILE | tail -n +2` is the table, with no program of ours. PostgreSQL's binary format is read by PostgreSQL alone,
of a version that knows it. The digest is of the CSV, and stands before it: gzip files may be concatenated, so the line
is written last, and put first.
"""

import gzip
import hashlib
import os
import shutil
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import asyncpg
import msgspec

from pipeline.errors import ArchiveRefused
from pipeline.maintenance.partitions.state import MONTHLY, WaitingMonth
from pipeline.months import months_after

Reach = Callable[[str], None]

_CHUNK_BYTES: Final = 1 << 20  # what is held of a file at a time
_HEADER_BYTES_MAX: Final = 1 << 16  # twenty times what the widest table needs
# Level 1 takes a third of the time of the default, and a tenth more room.
_COMPRESSION: Final = 1


class Header(msgspec.Struct, frozen=True, tag_field="format", tag="folio-month-1"):
    """The first line. `rows` and `sha256` are of the CSV that follows; its first line are the columns."""

    table: str
    month: date
    lower: str
    upper: str
    columns: list[str]
    rows: int
    sha256: str
    detached_at: datetime


class Written(msgspec.Struct, frozen=True):
    """An archive that is in its place, was read again, and is what it says."""

    path: Path
    header: Header


def file_name(table: str, month: date, detached_at: datetime) -> str:
    """The same for whoever finishes what another run began; another for rows that came later."""
    return f"{table}-{month:%Y-%m}-{detached_at.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}.csv.gz"


async def write_archive(
    connection: asyncpg.Connection, waiting: WaitingMonth, relation: tuple[str, str], folder: Path, reach: Reach
) -> Written:
    """The rows of `relation` (schema, table) as a file in `folder`: whole or not at all, synced, and read again.

    Raises ArchiveRefused when it cannot be written, or is not what was read from the table.
    """
    path = folder / file_name(waiting.table, waiting.month, waiting.detached_at)
    rows_path = path.with_suffix(".rows")
    with _refused(path):
        header = await _write_rows(connection, waiting, relation, rows_path)
        _put_together(path, header, rows_path, reach)
    if verified(path) != header:
        raise ArchiveRefused(f"{path}: what can be read is not what was written")
    return Written(path, header)


def _put_together(path: Path, header: Header, rows_path: Path, reach: Reach) -> None:
    """The line and the rows in one file, which has its name once it is on the disk."""
    unfinished = path.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        file.write(gzip.compress(msgspec.json.encode(header) + b"\n", mtime=0))
        with rows_path.open("rb") as rows:
            shutil.copyfileobj(rows, file, _CHUNK_BYTES)
        file.flush()
        os.fsync(file.fileno())
    reach("archive_written")
    unfinished.replace(path)
    _sync_folder(path.parent)
    rows_path.unlink()
    reach("archive_in_place")


async def _write_rows(
    connection: asyncpg.Connection, waiting: WaitingMonth, relation: tuple[str, str], path: Path
) -> Header:
    schema, table = relation
    digest, first = hashlib.sha256(), b""
    with path.open("wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_COMPRESSION, mtime=0) as file:

        async def take(data: bytes) -> None:
            nonlocal first
            first = first or data
            digest.update(data)
            file.write(data)

        said = await connection.copy_from_table(table, schema_name=schema, output=take, format="csv", header=True)
    return Header(
        table=waiting.table,
        month=waiting.month,
        lower=f"{waiting.month} 00:00:00+00",
        upper=f"{months_after(waiting.month, 1)} 00:00:00+00",
        columns=first.split(b"\n", 1)[0].decode().split(","),
        rows=int(said.split()[1]),  # COPY 4711
        sha256=digest.hexdigest(),
        detached_at=waiting.detached_at,
    )


def verified(path: Path) -> Header:
    """What an archive says of itself, once all of it was read. Raises ArchiveRefused unless it is true."""
    with _refused(path), gzip.open(path) as file:
        header = _header(file)
        for _ in _checked(file, header, path):
            pass
    return header


def read_header(path: Path) -> Header:
    """What an archive says of itself. Raises ArchiveRefused for a file that is none."""
    with _refused(path), gzip.open(path) as file:
        return _header(file)


async def csv_of(path: Path) -> AsyncIterator[bytes]:
    """The CSV of an archive. Raises ArchiveRefused at its end unless it is what the first line says."""
    with _refused(path), gzip.open(path) as file:
        header = _header(file)
        for chunk in _checked(file, header, path):
            yield chunk


def _header(file: gzip.GzipFile) -> Header:
    header = msgspec.json.decode(file.readline(_HEADER_BYTES_MAX), type=Header)
    if header.table not in MONTHLY:
        raise ValueError(f"{header.table} is no table of months")
    return header


def _checked(file: gzip.GzipFile, header: Header, path: Path) -> Iterator[bytes]:
    digest = hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        yield chunk
    if digest.hexdigest() != header.sha256:
        raise ArchiveRefused(f"{path}: its rows have the digest {digest.hexdigest()}, not {header.sha256} as it says")


def _sync_folder(folder: Path) -> None:
    """A file that was renamed is in its place for certain only once its folder is on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, EOFError, zlib.error) as error:  # a file that is cut off, is no gzip, or has no room
        raise ArchiveRefused(f"{path}: {error}") from error
    except (msgspec.MsgspecError, ValueError) as error:
        raise ArchiveRefused(f"{path}: no archive of a month: {error}") from error
