"""The client's side of the WebSocket protocol (RFC 6455), as much as a subscriber needs, for ten thousand of them.

A library's connection costs several times the CPU and memory of what is measured, on the same two cores.
"""

import base64
import hashlib
import secrets
import struct
from typing import Final

TEXT: Final = 0x1
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
_FIN: Final = 0x80
_MASKED: Final = 0x80
_SHORT_MAX: Final = 125
_OF_16_BITS: Final = 126
_OF_64_BITS: Final = 127
_BYTES_MAX: Final = 16 << 20
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

Frame = tuple[int, bytes]  # opcode, payload


class ProtocolError(Exception):
    """The server sent what no server should."""


def upgrade(host: str, path: str, subprotocol: str, token: str) -> tuple[bytes, bytes]:
    """The request that opens a socket, and what the answer must hold (`Sec-WebSocket-Accept`)."""
    key = base64.b64encode(secrets.token_bytes(16))
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {subprotocol}\r\nAuthorization: Bearer {token}\r\n"
        f"Sec-WebSocket-Key: {key.decode()}\r\n\r\n"
    )
    accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - what the protocol says; no secret
    return request.encode(), accept


def opened(head: bytes, accept: bytes) -> bool:
    """Whether the head of an answer opens the socket."""
    return head.startswith(b"HTTP/1.1 101 ") and accept in head


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """One whole message of a client, masked, as a client's must be. By zeros: nobody here attacks a proxy's cache."""
    length = len(payload)
    if length <= _SHORT_MAX:
        head = struct.pack("!BB", _FIN | opcode, _MASKED | length)
    else:
        head = struct.pack("!BBH", _FIN | opcode, _MASKED | _OF_16_BITS, length)
    return head + b"\0\0\0\0" + payload


class FrameReader:
    """Cuts what comes into frames. Raises ProtocolError for what a server may not send, or this client cannot read."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Frame]:
        """Those that are whole by now."""
        if self._rest:
            data = self._rest + data
        frames: list[Frame] = []
        at = 0
        while (found := _frame_at(data, at)) is not None:
            opcode, begin, end = found
            frames.append((opcode, data[begin:end]))
            at = end
        self._rest = data[at:]
        return frames


def _frame_at(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Opcode, begin and end of the payload; None where it is not whole yet."""
    if len(data) < at + 2:
        return None
    first, second = data[at], data[at + 1]
    if not first & _FIN or first & 0x70 or second & _MASKED:
        raise ProtocolError(f"a frame begins with {first:02x} {second:02x}: fragmented, extended or masked")
    begin, length = at + 2, second
    if length == _OF_16_BITS:
        begin = at + 4
        if len(data) < begin:
            return None
        length = int.from_bytes(data[at + 2 : begin], "big")
    elif length == _OF_64_BITS:
        begin = at + 10
        if len(data) < begin:
            return None
        length = int.from_bytes(data[at + 2 : begin], "big")
        if length > _BYTES_MAX:
            raise ProtocolError(f"a frame of {length:,} bytes")
    return (first & 0x0F, begin, begin + length) if len(data) >= begin + length else None


def close_code(payload: bytes) -> int:
    """Why the server closed; 1005 where it did not say (RFC 6455, section 7.1.5)."""
    return int.from_bytes(payload[:2], "big") if len(payload) > 1 else 1005
