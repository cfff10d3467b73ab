"""Lines become messages one by one, as they are, however the input arrives."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import SettingsRefused
from pipeline.simulator.lines import Lines, opened
from pipeline.simulator.plan import Message
from pipeline.simulator.sender import VALUE_BYTES_MAX


def lines_of(chunks: list[bytes]) -> Lines:
    left = list(chunks)

    async def read(most: int) -> bytes:
        return left.pop(0) if left else b""

    return Lines(read)


async def everything(lines: Lines, most: int = 3) -> list[Message]:
    messages: list[Message] = []
    while taken := await lines.take(most):
        assert len(taken) <= most
        messages += taken
    return messages


@given(st.lists(st.binary(max_size=12).filter(bool)), st.integers(1, 5))
async def test_any_bytes_in_any_pieces_give_the_lines_that_stand_there(chunks: list[bytes], most: int) -> None:
    messages = await everything(lines_of(chunks), most)
    assert [message.value for message in messages] == [line for line in b"".join(chunks).split(b"\n") if line.strip()]


@given(st.integers(-(2**63), 2**64 - 1))
async def test_the_key_is_the_organisation(org_id: int) -> None:
    (message,) = await everything(lines_of([json.dumps({"a": [1], "org_id": org_id}).encode()]))
    assert message == Message(str(org_id).encode(), message.value, "json")


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"org_id":"7"}', "json"),
        (b'{"org_id":true}', "json"),
        (b'{"org_id":7.0}', "json"),
        (b'{"org":7}', "json"),
        (b"[7]", "json"),
        (b"null", "json"),
        (b'{"org_id":7', "not_json"),
        (b'{"org_id":7,"x":NaN}', "not_json"),
        (b'{"org_id":7,"x":"\xff"}', "not_json"),
        (b"hello", "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b"[" * 100_000, "not_json"),
    ],
)
async def test_without_an_organisation_there_is_no_key(line: bytes, kind: str) -> None:
    assert await everything(lines_of([line])) == [Message(None, line, kind)]


async def test_the_first_line_that_is_not_json_is_remembered() -> None:
    lines = lines_of([b'{"org_id":1}\n\n  \nnope\nnope again\n{}'])
    assert [message.kind for message in await everything(lines)] == ["json", "not_json", "not_json", "json"]
    assert lines.first_not_json == 4


async def test_a_line_that_no_record_can_hold_is_named_after_those_before_it() -> None:
    lines = lines_of([b"{}\n\n{}\n" + b"x" * VALUE_BYTES_MAX, b"x", b"x\n{}\n"])
    assert len(await lines.take(100)) == 2
    with pytest.raises(SettingsRefused, match="line 4 "):
        await lines.take(100)


async def test_the_longest_line_that_a_record_can_hold_is_one() -> None:
    line = b"x" * VALUE_BYTES_MAX
    assert await everything(lines_of([line[:5], line[5:], b"\n"])) == [Message(None, line, "not_json")]


async def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "events.ndjson"
    path.write_bytes(b'{"org_id":5}\n' * 20_000 + b'{"org_id":6}')
    async with opened(path) as lines:
        messages = await everything(lines, 1_000)
    assert len(messages) == 20_001
    assert messages[-1].key == b"6"


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match=r"nothing\.ndjson: No such file"):
        async with opened(tmp_path / "nothing.ndjson"):
            pass
    with pytest.raises(SettingsRefused, match="Is a directory"):
        async with opened(tmp_path):
            pass
