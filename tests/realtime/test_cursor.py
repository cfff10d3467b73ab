"""A cursor says what it said, to its organisation alone, and nobody else can make one."""

import base64
import hmac
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from pipeline.realtime.cursor import CURSOR_CHARACTERS_MAX, TEXTS_BYTES_MAX, Cursor, CursorRefusal, Cursors

SECRET, OLDER = b"s" * 32, b"o" * 32
CURSORS = Cursors([SECRET])
numbers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=TEXTS_BYTES_MAX // 12)
cursors = st.builds(Cursor, texts, texts, st.integers(0, 2**31 - 1), numbers, numbers, texts)


@given(cursors)
def test_a_cursor_comes_back_as_it_was(cursor: Cursor) -> None:
    text = CURSORS.encode(cursor)
    assert CURSORS.decode(text, cursor.org_id) == cursor
    assert len(text) <= CURSOR_CHARACTERS_MAX
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def test_the_longest_one_is_bounded() -> None:
    longest = Cursor("e" * 100, "t" * 249, 2**31 - 1, 2**63 - 1, 2**63 - 1, "v" * 51)
    assert len(CURSORS.encode(longest)) <= CURSOR_CHARACTERS_MAX


@given(cursors, st.data())
def test_every_flipped_bit_is_noticed(cursor: Cursor, data: st.DataObject) -> None:
    text = CURSORS.encode(cursor)
    raw = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    forged = base64.urlsafe_b64encode(bytes(raw)).rstrip(b"=").decode()
    assert CURSORS.decode(forged, cursor.org_id) is CursorRefusal.FORGED


@given(cursors, st.data())
def test_no_other_character_stands_for_one(cursor: Cursor, data: st.DataObject) -> None:
    text = CURSORS.encode(cursor)
    at = data.draw(st.integers(0, len(text) - 1))
    other = text[:at] + data.draw(st.characters(exclude_characters=text[at])) + text[at + 1 :]
    assert CURSORS.decode(other, cursor.org_id) in {CursorRefusal.FORGED, CursorRefusal.MALFORMED}


@given(st.text() | st.text(alphabet="abcAB09-_=", max_size=2 * CURSOR_CHARACTERS_MAX))
def test_no_text_raises(text: str) -> None:
    assert CURSORS.decode(text, 1) in {CursorRefusal.FORGED, CursorRefusal.MALFORMED}


def test_a_cursor_is_of_one_organisation() -> None:
    text = CURSORS.encode(Cursor("e-1", "t", 0, 5, 7, ""))
    assert CURSORS.decode(text, 8) is CursorRefusal.OF_ANOTHER_ORGANISATION


def test_older_secrets_are_accepted_as_long_as_they_are_named() -> None:
    cursor = Cursor("e-1", "t", 0, 5, 7, "")
    text = Cursors([OLDER]).encode(cursor)
    assert Cursors([SECRET, OLDER]).decode(text, 7) == cursor
    assert CURSORS.decode(text, 7) is CursorRefusal.FORGED
    assert Cursors([SECRET, OLDER]).encode(cursor) == CURSORS.encode(cursor)


def test_what_another_version_signed_is_malformed() -> None:
    body = b"\x91\x01"
    signature = hmac.digest(SECRET, b"folio-realtime-cursor-1\0" + body, sha256)[:16]
    text = base64.urlsafe_b64encode(signature + body).rstrip(b"=").decode()
    assert CURSORS.decode(text, 1) is CursorRefusal.MALFORMED
