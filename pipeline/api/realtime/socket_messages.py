"""What a client may say over the socket, and how the socket ends."""

from datetime import date
from enum import IntEnum
from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from pipeline.realtime.cursor import CURSOR_CHARACTERS_MAX

SUBPROTOCOL: Final = "folio.realtime.v1"
# A list of a thousand properties has 20 kB, a token 8 kB: nothing longer is sent by mistake.
MESSAGE_BYTES_MAX: Final = 32_768
_NAME_CHARACTERS_MAX: Final = 64

Name = Annotated[str, Meta(min_length=1, max_length=_NAME_CHARACTERS_MAX)]
Id = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class Subscribe(Struct, frozen=True, tag="subscribe", forbid_unknown_fields=True):
    """Follow an organisation; `id` is the client's own name for it."""

    id: Name
    org_id: Id
    properties: frozenset[Id] = frozenset()
    first: date | None = None
    last: date | None = None
    cursor: Annotated[str, Meta(max_length=CURSOR_CHARACTERS_MAX)] | None = None


class Unsubscribe(Struct, frozen=True, tag="unsubscribe", forbid_unknown_fields=True):
    """End one."""

    id: Name


class Token(Struct, frozen=True, tag="token", forbid_unknown_fields=True):
    """Who asks, from now on."""

    token: str


class Ping(Struct, frozen=True, tag="ping", forbid_unknown_fields=True):
    """Is somebody there?"""


Said = Subscribe | Unsubscribe | Token | Ping
decode: Final = msgspec.json.Decoder(Said).decode


class Code(IntEnum):
    """Why a socket was closed (RFC 6455, section 7.4: 4000 and above are the application's own)."""

    RESTART = 1012
    MALFORMED = 4400
    NO_TOKEN = 4401
    FORBIDDEN = 4403
    SLOW = 4408
    IDLE = 4409
