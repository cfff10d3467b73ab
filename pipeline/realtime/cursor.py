"""Where a subscriber's stream goes on: a signed text, opaque to whoever holds it.

It says (epoch, topic, partition, next offset, organisation, view). The signature keeps a subscriber from choosing
offsets, and the organisation in it from going on with somebody else's cursor. It is no permission: who may subscribe is
decided elsewhere, each time.
"""

import base64
import binascii
import hmac
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Final

import msgspec

# An epoch has 25 characters, a view 16, the name of a topic 249 at most: what is longer is nobody's.
TEXTS_BYTES_MAX: Final = 400
CURSOR_CHARACTERS_MAX: Final = 640
# Half of SHA-256, as RFC 2104 (section 5) allows: a cursor rides in headers and addresses.
_SIGNATURE_BYTES: Final = 16
SECRET_BYTES_MIN: Final = 32
# What is signed says what it is for: no signature of another kind of message, by the same secret, can be one of these.
_PURPOSE: Final = b"folio-realtime-cursor-1\0"


class CursorRefusal(StrEnum):
    """Why a text is no cursor of this organisation."""

    MALFORMED = "malformed"
    FORGED = "forged"  # or signed with a secret that is accepted no more
    OF_ANOTHER_ORGANISATION = "of_another_organisation"


@dataclass(frozen=True, slots=True)
class Cursor:
    """Everything before `offset` has reached the subscriber, as far as its filters wanted it: `view` is of those.

    `topic`: its identity, empty where nobody knows it.
    """

    epoch: str
    topic: str
    partition: int
    offset: int
    org_id: int
    view: str


class _Body(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    epoch: str
    topic: str
    partition: int
    offset: int
    org_id: int
    view: str


_decode: Final = msgspec.msgpack.Decoder(_Body).decode
_encode: Final = msgspec.msgpack.Encoder().encode


class Cursors:
    """Signs with the first secret, and accepts every one: put a new one first, and drop the old one a day later."""

    def __init__(self, secrets: Sequence[bytes]) -> None:
        assert secrets
        assert all(len(secret) >= SECRET_BYTES_MIN for secret in secrets)
        self._secrets = tuple(secrets)

    def encode(self, cursor: Cursor) -> str:
        assert sum(len(text.encode()) for text in (cursor.epoch, cursor.topic, cursor.view)) <= TEXTS_BYTES_MAX
        body = _encode(_Body(*astuple(cursor)))
        return base64.urlsafe_b64encode(_signature(self._secrets[0], body) + body).rstrip(b"=").decode()

    def decode(self, text: str, org_id: int) -> Cursor | CursorRefusal:
        """The cursor, if it was made here for this organisation. Never raises, whatever the text is."""
        raw = _unwrapped(text)
        if raw is None or len(raw) <= _SIGNATURE_BYTES:
            return CursorRefusal.MALFORMED
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not any(hmac.compare_digest(_signature(secret, body), signature) for secret in self._secrets):
            return CursorRefusal.FORGED
        try:
            said = _decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):  # ours, of another version
            return CursorRefusal.MALFORMED
        if said.org_id != org_id:
            return CursorRefusal.OF_ANOTHER_ORGANISATION
        return Cursor(*msgspec.structs.astuple(said))


def _signature(secret: bytes, body: bytes) -> bytes:
    return hmac.digest(secret, _PURPOSE + body, sha256)[:_SIGNATURE_BYTES]


def _unwrapped(text: str) -> bytes | None:
    """The bytes of a text that is written in the one way in which we write it; None for every other."""
    if len(text) > CURSOR_CHARACTERS_MAX or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    # The last character may hold bits that mean nothing: two texts for one cursor would let a flipped bit pass.
    return raw if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() == text else None
