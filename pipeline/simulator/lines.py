"""Messages from lines: a file or standard input, each line sent as it is, JSON or not."""

import os
import stat
import sys
from asyncio import BaseTransport, StreamReader, StreamReaderProtocol, get_running_loop
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from pipeline.errors import SettingsRefused
from pipeline.simulator.plan import Message
from pipeline.simulator.sender import VALUE_BYTES_MAX
from pipeline.standard_input import STANDARD_INPUT

JSON_LINE: Final = "json"
OTHER_LINE: Final = "not_json"

_CHUNK_BYTES: Final = 128 * 1024

Read = Callable[[int], Awaitable[bytes]]


class Lines:
    """A source of messages, one a line; blank lines are none. Holds one chunk of input at most.

    Raises SettingsRefused at a line that no broker would take, after every line before it was handed out.
    """

    def __init__(self, read: Read) -> None:
        self.first_not_json: int | None = None
        self._read = read
        self._number = 0
        self._ready: deque[bytes] = deque()
        self._rest = b""
        self._ended = False

    async def take(self, most: int) -> list[Message]:
        """Up to `most` messages, as soon as there are any; none at the end."""
        messages: list[Message] = []
        while not messages and (self._ready or not self._ended):
            if not self._ready:
                await self._fill()
            while self._ready and len(messages) < most:
                if len(self._ready[0]) > VALUE_BYTES_MAX and messages:
                    break
                self._number += 1
                line = self._ready.popleft()
                if line.strip():
                    messages.append(self._message(line))
        return messages

    async def _fill(self) -> None:
        chunk = await self._read(_CHUNK_BYTES)
        self._ended = not chunk
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._ready.extend(lines)
        if rest and (self._ended or len(rest) > VALUE_BYTES_MAX):
            # The last line may lack its end; one that is too long already is judged without waiting for it.
            self._ready.append(rest)
            rest = b""
        self._rest = rest

    def _message(self, line: bytes) -> Message:
        if len(line) > VALUE_BYTES_MAX:
            raise SettingsRefused(
                f"line {self._number} has more than {VALUE_BYTES_MAX} bytes, which no record may have; "
                "the lines before it were sent: go on after it with `tail -n +N`"
            )
        try:
            value = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if self.first_not_json is None:
                self.first_not_json = self._number
            return Message(None, line, OTHER_LINE)
        org_id = value.get("org_id") if isinstance(value, dict) else None
        # type(), since True is an int to isinstance().
        return Message(b"%d" % org_id if type(org_id) is int else None, line, JSON_LINE)


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Lines]:
    """The lines of a file, or of standard input for `-`; a pipe is read as it fills, without blocking.

    Raises SettingsRefused if the file cannot be read.
    """
    file = _open(path)
    if not _fills_slowly(file):
        with file:

            async def read(most: int) -> bytes:
                return file.read(most)

            yield Lines(read)
        return
    reader, transport = await _connected(file)
    try:
        yield Lines(reader.read)
    finally:
        transport.close()
        if path == STANDARD_INPUT:
            # A terminal shares this flag with the shell, which does not expect it.
            os.set_blocking(sys.stdin.fileno(), True)


def _open(path: Path) -> BinaryIO:
    if path == STANDARD_INPUT:
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise SettingsRefused(f"--file {path}: {error.strerror}") from error


def _fills_slowly(file: BinaryIO) -> bool:
    mode = os.fstat(file.fileno()).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or file.isatty()


async def _connected(file: BinaryIO) -> tuple[StreamReader, BaseTransport]:
    loop = get_running_loop()
    reader = StreamReader(limit=_CHUNK_BYTES)
    transport, _ = await loop.connect_read_pipe(lambda: StreamReaderProtocol(reader), file)
    return reader, transport
