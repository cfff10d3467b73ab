"""The client's frames, against a library that speaks the whole protocol, however the bytes are cut."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from bench.serve.frames import CLOSE, PONG, TEXT, FrameReader, ProtocolError, close_code, frame, opened, upgrade

SIZES = st.one_of(st.integers(0, 300), st.sampled_from([65_535, 65_536]))


def from_server(payload: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=False)


@settings(deadline=None)
@given(st.lists(SIZES, max_size=5), st.integers(1, 70_000))
def test_what_a_server_sends_is_read_however_it_is_cut(sizes: list[int], size: int) -> None:
    payloads = [bytes([n]) * length for n, length in enumerate(sizes)]
    stream = b"".join(from_server(each) for each in payloads)
    reader = FrameReader()
    read = [each for at in range(0, len(stream), size) for each in reader.feed(stream[at : at + size])]
    assert read == [(TEXT, payload) for payload in payloads]


@pytest.mark.parametrize(
    "sent",
    [
        from_server(b"half a message", fin=False),
        Frame(Opcode.TEXT, b"masked").serialize(mask=True),
        b"\xc1\x01x",  # with a bit of an extension that nobody agreed on
        b"\x81\x7f" + b"\xff" * 8,
    ],
    ids=["fragment", "masked", "extension", "too long"],  # masks are made by chance: names must not be
)
def test_what_no_server_may_send_is_refused(sent: bytes) -> None:
    with pytest.raises(ProtocolError):
        FrameReader().feed(sent)


@pytest.mark.parametrize(("payload", "opcode"), [(b"{}", TEXT), (b"x" * 126, TEXT), (b"x" * 9_000, TEXT), (b"", PONG)])
def test_what_the_client_sends_is_read_by_a_server(payload: bytes, opcode: int) -> None:
    stream = StreamReader()
    stream.feed_data(frame(payload, opcode))
    reading = Frame.parse(stream.read_exact, mask=True)
    with pytest.raises(StopIteration) as done:
        next(reading)
    assert (done.value.value.opcode, done.value.value.data) == (opcode, payload)


def test_a_close_says_why() -> None:
    [(opcode, payload)] = FrameReader().feed(from_server(b"\x03\xf4come back", Opcode.CLOSE))
    assert (opcode, close_code(payload), close_code(b"")) == (CLOSE, 1012, 1005)


def test_a_socket_is_open_when_the_answer_fits_the_request() -> None:
    request, accept = upgrade("host", "/ws", "folio.realtime.v1", "token")
    assert b"Authorization: Bearer token\r\n" in request
    head = b"HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: "
    assert opened(head + accept, accept)
    assert not opened(head + b"another", accept)
    assert not opened(b"HTTP/1.1 403 Forbidden\r\n" + accept, accept)
